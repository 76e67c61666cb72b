"""ImageNet's channel means and standard deviations, with which pretrained models expect images to be normalised."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
