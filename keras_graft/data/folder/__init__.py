"""Images of one's own: a folder of files, one folder a class.

| module | what it holds |
| --- | --- |
| `layout` | which files there are, of which class and which split |
| `image_file` | one file as pixels |
| `file_images` | images that are decoded when they are asked for |
| `kept_images` | where decoded images are kept |
| `examination` | every file looked at: bad ones, and those that are twice |
| `reading` | images as the splits of a run, wherever they are stored |
| `reader` | `read`: a folder as the splits of a run |
"""

from keras_graft.checks import packages

packages.require("Reading image files", packages.IMAGE_FILES)
