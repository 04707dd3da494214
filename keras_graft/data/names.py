"""The names that flags may take; imports nothing, so that they are cheap."""

DATASETS = ("digits", "cifar10", "cifar10_16", "cifar100")
AUGMENTS = ("none", "standard", "randaugment", "cutmix", "mixup")
BATCHES = ("shared", "own")
