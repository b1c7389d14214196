import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapush_stack.harness.patches.unified_diff import apply, parse

texts = st.lists(st.sampled_from(["a\n", "b\r\n", "\n", "c\rd\n", "--- a/x\n", "@@ -1 +1 @@\n"]), max_size=12)


@settings(max_examples=300, deadline=None)
@given(texts, texts, st.integers(0, 3))
def test_a_diff_makes_the_new_of_the_old_and_back(old, new, context):
    diff = "".join(difflib.unified_diff(old, new, "a/x", "b/x", n=context)).encode()
    hunks = parse(diff).get("x", [])
    old, new = "".join(old).encode(), "".join(new).encode()
    assert apply(old, hunks) == new
    assert apply(new, [hunk.reversed for hunk in hunks]) == old


DIFF = b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_other_lines_are_refused():
    assert apply(b"a\nb\nd\n", parse(DIFF)["x"]) == b"a\nc\nd\n"
    for content in (b"", b"a\n", b"a\nd\n", b"d\na\nb\n"):
        with pytest.raises(ValueError, match="is not what the diff is over"):
            apply(content, parse(DIFF)["x"])


@pytest.mark.parametrize("diff", [DIFF[:-3], DIFF.replace(b"+c", b"\\ c"), b"hello\n", DIFF + b"diff --git a b\n"])
def test_what_is_no_diff_is_refused(diff):
    with pytest.raises(ValueError, match=r"hunk ends early|belongs to no unified diff"):
        parse(diff)
