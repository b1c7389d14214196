"""Rules and logs: every rule on its example, none on healthy runs. tests/cli/test_triage.py has the command."""

import time
from pathlib import Path

import pytest
import yaml

import mapush_stack
from mapush_stack.cli.main import main
from mapush_stack.errors import UserError
from mapush_stack.harness.triage import log, rules
from mapush_stack.harness.triage.diagnosis import Verdict, diagnose
from mapush_stack.harness.triage.log import Log, is_text
from mapush_stack.harness.triage.rules import Fact

LOGS = Path(__file__).parent / "logs"
KNOWN = rules.registered()
NAMES = [rule.name for rule in KNOWN.rules]
HEALTHY = sorted((LOGS / "healthy").glob("*.log"))
UNKNOWN = sorted((LOGS / "unknown").glob("*.log"))
WORDINGS = yaml.safe_load((LOGS.parent / "wordings.yaml").read_text(encoding="utf-8"))
TRACEBACK = b'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    main()\n'
FACTS = {
    "lavapipe": {Fact.COMPUTE_CAPABILITY: 8.6},
    "contact-pairs": {Fact.GPU_MEMORY: 0.93, Fact.COMPUTE_CAPABILITY: 7.5},
}
"""What is known beside the examples' lines."""


FILLINGS = [
    b"Traceback (most recent call last):\n",
    b"Traceback (most recent call last):\n" + 20 * b"    frame\n",
    b" \n",
    b"  action torch NVIDIA\n",
    b"torch action ",
]
"""What would be slow to search with a careless expression."""


def example(name):
    return (LOGS / "known" / f"{name}.log").read_bytes()


def fired(output, *arguments, **options):
    return [finding.rule for finding in diagnose(Log(output), KNOWN, *arguments, **options).findings]


def test_there_is_an_example_of_each_rule_and_nothing_else():
    assert sorted(path.stem for path in (LOGS / "known").iterdir()) == sorted(NAMES)
    assert len(HEALTHY) >= 10 and len(UNKNOWN) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_is_the_first_to_fire_on_its_example(name):
    diagnosis = diagnose(Log(example(name)), KNOWN, facts=FACTS.get(name))
    first = diagnosis.findings[0]
    assert first.rule == name
    lines = [one for one in first.evidence if one.line is not None]
    text = example(name).decode().splitlines()
    assert lines and all(text[one.line - 1].strip().endswith(one.text) for one in lines)


def test_the_documentation_lists_the_rules():
    text = (LOGS.parents[2] / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = [f"| `{one.name}` | {one.confidence.value} | {' '.join(one.cause.split())} |" for one in KNOWN.rules]
    told = [line for line in text.partition("### What it knows")[2].splitlines() if line.startswith("| `")]
    assert told == rows, "the rows of docs/troubleshooting.md should be\n" + "\n".join(rows)


@pytest.mark.parametrize("rule", KNOWN.rules, ids=NAMES)
def test_a_rule_is_silent_without_any_part_of_what_it_asks_for(rule):
    text = example(rule.name).decode().splitlines(keepends=True)
    endings = "|".join(KNOWN.endings[name].wording for name in rule.ends)
    for pattern in [*rule.lines, *rule.anywhere, *([endings] if endings else [])]:
        found = Log(example(rule.name)).find(pattern)
        rest = "".join(line for number, line in enumerate(text, 1) if number not in found)
        assert found and rule.name not in fired(rest.encode(), facts=FACTS.get(rule.name)), pattern


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.stem)
@pytest.mark.parametrize("exit_code", [None, 0])
def test_no_rule_fires_on_a_healthy_run(path, exit_code):
    diagnosis = diagnose(Log(path.read_bytes()), KNOWN, exit_code)
    assert diagnosis.findings == [] and diagnosis.verdict is Verdict.HEALTHY


@pytest.mark.parametrize("path", UNKNOWN, ids=lambda path: path.stem)
def test_a_crash_without_a_rule_is_unknown(path):
    diagnosis = diagnose(Log(path.read_bytes()), KNOWN)
    assert diagnosis.findings == [] and diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.telling and diagnosis.fingerprint and diagnosis.attach


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda wording: wording["answer"])
def test_other_wordings(wording):
    start = example("contact-pairs").rpartition(b"train.sh")[0]
    text = wording["text"].encode().replace(b"<GYM>\n", start).replace(b"<TRACEBACK>\n", TRACEBACK)
    diagnosis = diagnose(Log(text), KNOWN)
    rule = [one.rule for one in diagnosis.findings[:1]]
    assert (rule or [diagnosis.verdict.value]) == [wording["answer"]], text.decode()
    assert diagnosis.findings[0].confidence.value == wording["confidence"] if "confidence" in wording else True
    assert wording.get("noticed", "") in ["", *(one.rule for one in diagnosis.noticed)]


def test_a_failed_exit_code_makes_any_log_unknown():
    assert diagnose(Log(b""), KNOWN, 1).verdict is Verdict.UNKNOWN
    assert diagnose(Log(b"all is well\n"), KNOWN, -11).verdict is Verdict.UNKNOWN
    assert diagnose(Log(b"all is well\n"), KNOWN, 139).exit_code == -11
    assert diagnose(Log(b" \n"), KNOWN).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("stop", [-2, 130, -15, 143])
def test_a_stopped_run_is_no_crash(stop):
    assert diagnose(Log(b"   1,105,920 / 8,000,000 steps\n"), KNOWN, stop).verdict is Verdict.HEALTHY


def test_what_went_well_cannot_have_been_fatal_but_a_fault_stays_one():
    assert fired(example("infos-key-0"), 0) == []
    assert fired(example("mujoco-nan"), 0) == ["mujoco-nan"]


def test_a_segfault_after_the_gpu_pipeline_depends_on_the_memory_and_the_gpu():
    log = example("contact-pairs").rsplit(b"\n", 2)[0]  # without the shell's word for it
    assert fired(log) == [] and fired(log, 1) == []

    def said(**facts):
        known = {Fact[name]: value for name, value in facts.items()}
        return [(one.rule, one.confidence.value) for one in diagnose(Log(log), KNOWN, -11, known).findings]

    assert said() == [("graphics-device", "low"), ("contact-pairs", "low")]
    assert said(GPU_MEMORY=0.93) == [("contact-pairs", "medium")]
    assert said(GPU_MEMORY=0.93, COMPUTE_CAPABILITY=7.5) == [("contact-pairs", "high")]
    assert said(GPU_MEMORY=0.1, COMPUTE_CAPABILITY=7.5) == [("graphics-device", "low")]
    assert said(COMPUTE_CAPABILITY=9.0) == [("unsupported-gpu", "high"), ("physx-start", "medium")][:1]
    after_hours = log + b"\n2024-10-15 23:06:26,228 [INFO] Episode: 7/1000\n"
    assert fired(after_hours, -11) == []


def test_lines_that_belong_together_are_near_each_other():
    frame, error = example("infos-key-0").splitlines(keepends=True)[-2:]
    assert fired(frame + error) == ["infos-key-0"]
    assert fired(frame + 20 * b"    something else\n" + error) == []


def test_a_crash_is_told_at_the_end_of_a_log():
    log = b"Segmentation fault (core dumped)\n"
    assert diagnose(Log(log), KNOWN).verdict is Verdict.UNKNOWN
    assert diagnose(Log(log + 300 * b"the next attempt goes on\n"), KNOWN).verdict is Verdict.HEALTHY


def test_killed_is_out_of_memory_where_memory_was_full():
    assert fired(b"", -9, {Fact.HOST_MEMORY: 0.97}) == ["out-of-host-memory"]
    assert fired(b"", -9, {Fact.HOST_MEMORY: 0.30}) == []


def test_what_the_log_says_of_the_gpu_yields_to_what_is_known():
    log = b'"cuda:0"   : "NVIDIA H200" (140 GiB, sm_90, mempool enabled)\n'
    assert diagnose(Log(log), KNOWN).facts == {Fact.COMPUTE_CAPABILITY: 9.0}
    assert diagnose(Log(log), KNOWN, facts={Fact.COMPUTE_CAPABILITY: 8.6}).facts == {Fact.COMPUTE_CAPABILITY: 8.6}
    five = b"NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible\n"
    assert diagnose(Log(five), KNOWN).facts == {Fact.COMPUTE_CAPABILITY: 12.0}


def test_lines_are_as_a_terminal_shows_them():
    log = Log(b"\x1b[31mred\x1b[0m\r\n  5%|#\r 10%|##\rdone\nlast \xff")
    assert [log.line(number) for number in (1, 2, 3)] == ["red", "done", "last \ufffd"]
    assert len(log) == 3 and log.find("^last") == [3] and log.find("5%") == []
    assert len(Log(b"")) == 0 and len(Log(b"a\n")) == 1 and len(Log(b"a\n\nb")) == 3
    long = Log(b"start " + b"x" * 5_000 + b" middle " + b"x" * 5_000 + b" end")
    assert len(long.line(1)) < 500 and long.find("start") == long.find("end") == [1] and long.find("middle") == []


def test_compose_prefixes_do_not_hide_a_traceback():
    prefixed = b"".join(b"train-1  | " + line + b"\n" for line in UNKNOWN[-1].read_bytes().splitlines())
    assert diagnose(Log(prefixed), KNOWN).verdict is Verdict.UNKNOWN


def test_windows_logs():
    text = example("torch-out-of-memory").decode()
    for encoding in ("utf-16", "utf-8-sig", "utf-8"):
        assert fired(text.replace("\n", "\r\n").encode(encoding)) == ["torch-out-of-memory"]
    assert fired(text.replace("\n", "\r\r\n").encode()) == ["torch-out-of-memory"]


@pytest.mark.parametrize(
    "prefix", ["train-1  | ", "[rank0]: ", "[default0]:", "2026-11-21T10:00:00.1234Z ", "(Worker pid=41) "]
)
@pytest.mark.parametrize("name", ["infos-key-0", "refused", "torch-out-of-memory", "interrupted"])
def test_what_others_put_before_each_line_hides_nothing(prefix, name):
    lines = example(name).splitlines(keepends=True)
    assert fired(b"".join(prefix.encode() + line for line in lines))[0] == name


def test_what_is_no_text():
    assert not is_text(bytes(range(256)) * 4) and not is_text(b"PK\x03\x04\x00\x00\x00\x00\x00\x00archive/data.pkl")
    assert (
        is_text(b"")
        and is_text(b"plain\n")
        and is_text("\u6bb5\u9519\u8bef".encode("gbk"))
        and is_text("x".encode("utf-16"))
    )
    assert is_text(bytes(1000) + b"a log that was emptied while its program wrote on\n")


def test_of_a_very_long_log_all_is_read_that_tells_something(tmp_path, monkeypatch):
    for name, size in (("_BLOCK", 1 << 12), ("_HEAD", 1 << 14), ("_TAIL", 1 << 16)):
        monkeypatch.setattr(log, name, size)
    line, many = b"2024-10-15 23:06:26,228 [INFO] Episode: 7/1000\n", 10_000
    fault = b"x.cpp (699) : internal error : Contact buffer overflow detected, please increase its size\n"
    path = tmp_path / "long.log"
    with path.open("wb") as file:
        file.write(b"NVIDIA GeForce RTX 2070\n" + line * many + fault + line * many)
        file.write(b"\r".join([b"100%|#### "] * many) + b"\n" + example("torch-out-of-memory"))
    with path.open("rb") as file:
        read = Log(file)
    diagnosis = diagnose(read, KNOWN)
    (first,), (second,) = diagnosis.findings, diagnosis.noticed
    assert [first.rule, second.rule] == ["torch-out-of-memory", "physx-contact-buffer"]
    assert second.evidence[0].line == many + 2 and len(read) == path.read_bytes().count(b"\n")
    assert diagnosis.facts == {Fact.COMPUTE_CAPABILITY: 7.5}
    assert len(read.find("")) < many  # the rest is not kept


@pytest.mark.parametrize("filling", FILLINGS)
def test_a_large_log_takes_a_moment(filling):
    before = time.process_time()
    diagnose(Log(filling * (500_000 // len(filling))), KNOWN)
    assert time.process_time() - before < 10


def write_rules(folder, *entries, **others):
    """A file of rules as a plug-in has one."""
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"rules": list(entries), **others}))
    return file


MINE = {"name": "mine", "cause": "c", "remedy": "r", "confidence": "high", "source": ["s"], "lines": ["ufo seen"]}


@pytest.fixture
def registries(monkeypatch):
    """Registers that forget what a test adds."""
    for registry in (rules.RULES, rules._ENDINGS):
        monkeypatch.setattr(registry, "_things", dict(registry._things))
    monkeypatch.setattr(rules, "FILES", dict(rules.FILES))


@pytest.mark.usefixtures("registries")
def test_a_plug_in_adds_rules_and_endings(tmp_path, capsys):
    landed = {"pattern": "^it has landed$"}
    file = write_rules(tmp_path, {**MINE, "ends": ["landed", "abort"]}, endings={"landed": landed})
    mapush_stack.register_triage_rules(file)
    assert main(["presets"]) == 0
    assert "files of triage rules: rules.yaml, machine.yaml, rules.yaml" in capsys.readouterr().out.splitlines()
    known = rules.registered()
    assert [rule.name for rule in known.rules] == [*NAMES, "mine"] and "mine" in rules.RULES
    for end in (b"it has landed\n", b"Aborted (core dumped)\n"):
        (match,) = diagnose(Log(b"a ufo seen\n" + end), known).findings
        assert match.rule == "mine" and match.evidence[0].line == 1
    assert diagnose(Log(b"a ufo seen\n"), known).findings == []


@pytest.mark.usefixtures("registries")
def test_a_name_that_is_taken_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"the triage rule {NAMES[0]} exists already"):
        rules.register_triage_rules(write_rules(tmp_path, {**MINE, "name": NAMES[0]}))
    with pytest.raises(UserError, match="the process ending abort exists already"):
        rules.register_triage_rules(write_rules(tmp_path, endings={"abort": {"pattern": "x"}}))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"lines": ["(unclosed"]}, "not a regular expression"),
        ({"ends": ["sunset"]}, "in the rule mine, there is no process ending called sunset"),
        ({"confidence": "certain"}, "confidence"),
        ({"sources": []}, "sources"),
        ({"conditions": [{"fact": "gpu_memory"}]}, "at_least or below"),
        ({"lines": []}, "needs lines, anywhere or ends"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path, change, complaint):
    plain = yaml.safe_load(rules.PATH.read_text())
    file = write_rules(tmp_path, {**plain["rules"][0], "name": "mine", **change})
    with pytest.raises(UserError, match=complaint) as error:
        rules.register_triage_rules(file)
    assert str(error.value).startswith(str(file)) and rules.registered() == KNOWN
