"""Types of flag values beyond absl's: each refuses what absl lets through."""

import csv
import difflib
import math
import os
import re

from absl import flags as absl_flags

from keras_graft.data.augment_steps import augment_steps
from keras_graft.data.names import AUGMENTS
from keras_graft.models import sources

# A dataset of TFDS that has a name of its own here.
_IMAGENET = "imagenet2012"
_TFDS = "tfds"
# With a configuration and a version, if need be.
_TFDS_NAME = re.compile(r"\w+(/[\w.+-]+)?(:[\d.*]+)?", re.ASCII)
# Counts end up in TensorFlow's int32 and in seeds.
_INT32_MAX = 2**31 - 1


class Number(absl_flags.ArgumentParser):
    """A number in an interval, NaN refused: absl's own bounds let it through.

    An interval is written as in mathematics, such as `[0, 1)`; one that ends
    with `inf)` refuses infinity.
    """

    def __init__(self, interval: str):
        super().__init__()
        low, high = interval[1:-1].split(",")
        self._low, self._high = float(low), float(high)
        self._open = interval[0] == "(", interval[-1] == ")"
        self.syntactic_help = f"a number in {interval}"

    def parse(self, argument: str | float) -> float:
        try:
            value = float(argument)
        except ValueError:
            value = math.nan
        # Asked this way round, since every comparison with NaN is false.
        above = value > self._low if self._open[0] else value >= self._low
        below = value < self._high if self._open[1] else value <= self._high
        if not (above and below):
            raise ValueError(f"it must be {self.syntactic_help}")
        return value

    def flag_type(self) -> str:
        return "float"


class Integer(absl_flags.ArgumentParser):
    """An integer in a closed range."""

    def __init__(self, low: int, high: int = _INT32_MAX):
        super().__init__()
        self._low = low
        self._high = high
        self.syntactic_help = f"an integer in [{low}, {high}]"

    def parse(self, argument: str | int) -> int:
        try:
            value = int(argument)
        except ValueError:
            value = self._low - 1
        if not self._low <= value <= self._high:
            raise ValueError(f"it must be {self.syntactic_help}")
        return value

    def flag_type(self) -> str:
        return "int"


class Choice(absl_flags.ArgumentParser):
    """One of a few names."""

    def __init__(self, names: tuple[str, ...]):
        super().__init__()
        self._names = names
        self.syntactic_help = f"one of {', '.join(names)}"

    def parse(self, argument: str) -> str:
        if argument not in self._names:
            near = difflib.get_close_matches(argument, self._names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"{hint}It must be {self.syntactic_help}")
        return argument

    def flag_type(self) -> str:
        return "string enum"


class Choices(Choice):
    """Some of a few names, separated by commas, each once at most."""

    def __init__(self, names: tuple[str, ...]):
        super().__init__(names)
        self.syntactic_help = f"a comma-separated list of {', '.join(names)}"

    # A tuple, and each of its names as a `Choice` takes it.
    def parse(self, argument: str) -> tuple[str, ...]:  # type: ignore[override]
        if not isinstance(argument, str):
            return argument
        names = tuple(name.strip() for name in argument.split(","))
        for name in names:
            super().parse(name)
        if len(set(names)) < len(names):
            raise ValueError(f"{argument} names one twice")
        return names


def absolute(path: str) -> str:
    """Returns the absolute path.

    Args:
        path: Any path; `~` stands for a home folder.

    Raises:
        ValueError: If it is relative and the current folder is gone, or the
            whole is no path that a line of flags.txt could give back.
    """
    try:
        found = os.path.abspath(os.path.expanduser(path))
    except OSError as error:
        raise ValueError(
            f"the current folder cannot be read ({error.strerror}), and "
            f"{path!r} begins there. Give an absolute path, or go elsewhere"
        ) from error
    if not found.isprintable() or found != found.strip():
        raise ValueError(
            f"{path!r} is {found!r} from here. A line of flags.txt cannot "
            "repeat such a path: it may have printable characters only, and "
            "no space at its end. Give an absolute path, or go elsewhere"
        )
    return found


class Path(absl_flags.ArgumentParser):
    """A path, made absolute: flags.txt must hold from any folder."""

    syntactic_help = "a path"

    def parse(self, argument: str) -> str:
        # What `absolute` says of the whole, said of what was given.
        if not argument or not argument.isprintable():
            raise ValueError("it must be a path of printable characters")
        if argument != argument.strip():
            raise ValueError("it must not begin or end with a space")
        return absolute(argument)


class Dataset(Choice):
    """A dataset by name, or where one's own is, its path made absolute."""

    def __init__(self, names: tuple[str, ...], sources: tuple[str, ...]):
        self._sources = sources
        named = [f"{s}:{'NAME' if s == _TFDS else 'PATH'}" for s in sources]
        imagenet = [_IMAGENET] if _TFDS in sources else []
        super().__init__(names)
        self.syntactic_help = f"one of {', '.join([*names, *imagenet, *named])}"

    def parse(self, argument: str) -> str:
        if argument == _IMAGENET and _TFDS in self._sources:
            argument = f"{_TFDS}:{_IMAGENET}"
        source, colon, path = argument.partition(":")
        if not colon or source not in self._sources:
            return super().parse(argument)
        if source == _TFDS:
            if not _TFDS_NAME.fullmatch(path):
                raise ValueError(
                    "after tfds: it must be a name as TFDS has it, such as "
                    "tfds:beans or tfds:cats_vs_dogs:4.0.1"
                )
            return argument
        return f"{source}:{Path().parse(path)}"


class ImageShape(absl_flags.ArgumentParser):
    """Height and width of an image, as a text."""

    syntactic_help = "HEIGHTxWIDTH in pixels, such as 256x128"

    def parse(self, argument: str) -> str:
        sides = argument.split("x")
        try:
            numbers = [Integer(8).parse(side) for side in sides]
        except ValueError:
            numbers = []
        if len(numbers) != 2:
            raise ValueError(
                f"it must be {self.syntactic_help}, of 8 pixels or more a side"
            )
        return "x".join(map(str, numbers))

    def flag_type(self) -> str:
        return "string"


class CameraPattern(absl_flags.ArgumentParser):
    """A regular expression that finds the camera in a file's name."""

    syntactic_help = "a regular expression with one group"

    def parse(self, argument: str) -> str:
        try:
            groups = re.compile(argument).groups
        except re.error as error:
            raise ValueError(
                f"it must be {self.syntactic_help} ({error})"
            ) from error
        # A line of flags.txt gives it back.
        whole = argument.isprintable() and argument == argument.strip()
        if groups != 1 or not whole:
            raise ValueError(
                f"it must be {self.syntactic_help}, which holds the camera, "
                "such as _c(\\d), of printable characters, without spaces "
                "at its ends"
            )
        return argument

    def flag_type(self) -> str:
        return "string"


class Augment(absl_flags.ArgumentParser):
    """Augmentations, in the order in which they are done.

    What is the same run reads the same in flags.txt.
    """

    syntactic_help = f"one of {', '.join(AUGMENTS)}, or several with commas"

    def parse(self, argument: str) -> str:
        return str(augment_steps(argument))

    def flag_type(self) -> str:
        return "string"


class Model(absl_flags.ArgumentParser):
    """An architecture by name, or where one's own is, its path absolute."""

    syntactic_help = f"one of {', '.join(sources.names())}, {sources.HELP}"

    def parse(self, argument: str) -> str:
        source = sources.source_of(argument)
        sources.refuse_absent(source)
        if source.kind == sources.FILE:
            return ModelFile().parse(argument)
        if source.kind in sources.PRESETS and os.path.isdir(source.name):
            return f"{source.kind}:{Path().parse(source.name)}"
        return argument

    def flag_type(self) -> str:
        return "string"


class ModelFile(absl_flags.ArgumentParser):
    """A saved Keras model."""

    syntactic_help = "a .keras file"

    def parse(self, argument: str) -> str:
        path = Path().parse(argument)
        if not path.endswith(".keras") or not os.path.isfile(path):
            raise ValueError(
                f"{path} is not a file that `model.save` wrote. It must be "
                f"{self.syntactic_help} that exists"
            )
        return path


class Weights(absl_flags.ArgumentParser):
    """Weights by name, or in a file."""

    syntactic_help = "imagenet, or a .keras or .h5 file"

    def parse(self, argument: str) -> str:
        if argument == "imagenet":
            return argument
        path = Path().parse(argument)
        if not path.endswith((".keras", ".h5")) or not os.path.isfile(path):
            raise ValueError(
                f"{path} is not a file of weights. It must be "
                f"{self.syntactic_help} that exists"
            )
        return path


class Freeze(absl_flags.ArgumentParser):
    """What of a network stays as it is."""

    syntactic_help = "one of none, backbone, a whole number above 0"

    def parse(self, argument: str) -> str:
        whole = argument.isascii() and argument.isdecimal()
        if argument in ("none", "backbone"):
            return argument
        if not whole or not 0 < int(argument) <= _INT32_MAX:
            raise ValueError(f"it must be {self.syntactic_help}")
        return str(int(argument))


class ModelFiles(absl_flags.ArgumentParser):
    """Saved Keras models, separated by commas (quoted as in CSV)."""

    syntactic_help = "a comma-separated list of .keras files"

    def parse(self, argument: str) -> tuple[str, ...]:
        try:
            rows = list(csv.reader([argument]))
        except csv.Error as error:
            raise ValueError(
                f"it must be {self.syntactic_help} ({error})"
            ) from error
        paths = tuple(
            Path().parse(path.strip()) for row in rows for path in row
        )
        for path in paths:
            if not path.endswith(".keras") or not os.path.isfile(path):
                raise ValueError(
                    f"{path} is not a file that `model.save` wrote. It must "
                    f"be {self.syntactic_help}, each of which exists"
                )
        return paths
