"""Labels of new photographs: open a trained network, read images, predict."""
