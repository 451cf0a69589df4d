"""Held-out faces' attributes as the table that `pulse-jax evaluate --attributes` reads.

python -m examples.heldout.attributes_table --output people.csv
"""

import csv
import dataclasses
import json
import pathlib

import tyro

HOME = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Options:
    """What is read and written.

    Attributes:
        split: Folder beside this program.
        output: File to write.
    """

    split: str = "report"
    output: pathlib.Path = pathlib.Path("people.csv")


def groups_of(entry: dict[str, object]) -> dict[str, str]:
    """Return the groups of a person: Monk tones 1 to 10 in three parts, sex, and age in three parts."""
    tone, age = float(str(entry["tone"])), float(str(entry["age"]))
    return {
        "file": str(entry["file"]),
        "Monk tone": "1 to 3" if tone < 3.5 else "4 to 7" if tone < 7.5 else "8 to 10",
        "sex": str(entry["sex"]),
        "age": "18 to 34" if age < 35 else "35 to 54" if age < 55 else "55 to 85",
    }


def main(options: Options) -> None:
    """Write the table."""
    people = [groups_of(entry) for entry in json.loads((HOME / options.split / "attributes.json").read_text("utf-8"))]
    with open(options.output, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*people[0]])
        writer.writeheader()
        writer.writerows(people)
    print(f"{options.output}: {len(people)} people")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
