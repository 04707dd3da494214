"""Keeps the records of a study that is not finished, as they come.

    python results/unfinished.py STUDY RECORDS.json ...

joins files of records, such as those of several machines, with what
results/unfinished/STUDY.json holds already, and writes that file anew. A study
goes on from it: give it to `compare` as `--records`.
"""

import argparse
import pathlib
import sys

from keras_graft.compare import records
from keras_graft.compare import summary

FOLDER = pathlib.Path(__file__).resolve().parent / "unfinished"


def main(argv: list[str], folder: pathlib.Path = FOLDER) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", help="Its name, such as longer.")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    options = parser.parse_args(argv)
    file = folder / f"{options.study}.json"
    files = [*([file] if file.exists() else []), *options.files]
    try:
        found = records.joined(map(records.read, files))
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    records.write(file, summary.ordered(found))
    print(f"{len(found)} records: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
