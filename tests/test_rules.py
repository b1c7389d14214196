from typing import List

import pytest

from mapush_stack.errors import UserError
from mapush_stack.rules import load_rules
from mapush_stack.settings import Settings


class Table(Settings):
    names: List[str]
    limit: float


def test_a_table_is_read_and_checked(tmp_path):
    file = tmp_path / "table.yaml"
    file.write_text("names: [a, b]\nlimit: 2.0\n")
    assert load_rules(file, Table, "a table") == Table(names=["a", "b"], limit=2.0)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("names: [a, 7]\nlimit: 2.0\n", r"names\.1: Input should be a valid string"),
        ("names: []\nlimit: 2.0\nmore: 1\n", "more: Extra inputs are not permitted"),
        ("\x00", "special characters"),
        (None, "does not exist"),
    ],
)
def test_a_damaged_table_is_one_sentence_with_file_and_field(tmp_path, text, reason):
    file = tmp_path / "table.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=rf"table\.yaml .*{reason}"):
        load_rules(file, Table, "a table")
