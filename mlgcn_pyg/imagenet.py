"""ImageNet's channel statistics, by which torchvision's pretrained weights expect images to be normalised."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
