import re

import pytest

from mapush_stack import presets
from mapush_stack.errors import UserError
from mapush_stack.training import config
from tests.conftest import small_config


def refusal(*overrides, **where):
    with pytest.raises(UserError) as caught:
        config.load(overrides=overrides, **where)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", presets.PRESETS.names())
@pytest.mark.parametrize("object_name", presets.OBJECTS.names())
def test_every_preset_loads_for_every_object(name, object_name):
    if object_name == "random" and name != "generalist":
        with pytest.raises(UserError, match=r"task\.observation must be sets"):
            config.load(name, object_name)
        return
    loaded = config.load(name, object_name)
    assert loaded.object.name == object_name and loaded.preset == name
    assert config.validated(loaded.model_dump(mode="json")) == loaded


@pytest.mark.parametrize("part", presets.PARTS.names())
def test_every_part_can_be_laid_over_the_field_notes_presets(part):
    assert config.load("basic", parts=[part]).preset == f"basic+{part}"


def test_the_field_notes_values_are_theirs():
    values = {}
    for name in ("basic", "safe", "balanced"):
        learner = config.load(name).learner
        values[name] = (
            learner.actor_lr,
            learner.actor_max_grad_norm,
            learner.advantage_norm,
            learner.entropy_coef,
            learner.policy.network.hidden,
        )
    assert values == {
        "basic": (5e-4, 10.0, False, 0.01, [256, 256]),
        "safe": (3e-4, 0.5, True, 0.01, [256, 256]),
        "balanced": (4e-4, 1.0, False, 0.02, [512, 512, 256]),
    }
    rewards = config.load("balanced").task.rewards
    assert [rewards[name] for name in ("success", "target", "approach", "ocb")] == [1.0, 0.01, 0.02, 0.02]
    assert [rewards[name] for name in ("push", "collision", "exception")] == [0.01, -0.01, -1.0]


def test_an_objects_part_of_a_preset_yields_to_later_layers():
    assert config.load("paper", "cylinder").task.rewards["collision"] == -0.0015
    assert config.load("paper", "cuboid").task.rewards["collision"] == -0.0025
    assert config.load("balanced", "cylinder").task.rewards["collision"] == -0.01


def test_an_unknown_field_names_the_nearest():
    assert refusal("learner.gama=0.9") == ("there is no field learner.gama: learner has no gama; did you mean gamma?")
    assert "it can be actor_lr" in refusal("learner.zzz=1")


def test_a_wrong_type_names_field_and_value():
    assert refusal("learner.gamma=high").startswith("learner.gamma=high is not allowed: ")
    assert refusal("sim.num_envs=2.5").startswith("sim.num_envs=2.5 is not allowed: ")
    assert refusal("sim.num_envs=true").startswith("sim.num_envs=True is not allowed: ")
    assert refusal("learner.value_norm=3").startswith("learner.value_norm=3 is not allowed: ")
    assert refusal("team=go1") == "team=go1 is not allowed: give a list, such as team=[go1]"


def test_a_value_out_of_range_says_what_is_allowed():
    assert refusal("learner.gamma=1.5") == ("learner.gamma=1.5 is not allowed: input should be less than or equal to 1")
    algorithms = "learner.algorithm must be happo or mappo with library=native, not ppo"
    assert refusal("learner.algorithm=ppo") == algorithms
    unknown = "learner.library=nativ is not allowed: there is no learner called nativ; did you mean native?"
    assert refusal("learner.library=nativ") == unknown
    assert refusal("learner.options={speed: 1}").startswith("learner.options.speed is not allowed with library=native")


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["sim.planar.physics_dt=0.003"], "sim.planar.physics_dt must divide"),
        (["task.target_distance=[3, 1]"], "task.target_distance must be two lengths"),
        (["task.action_repeat=5", "task.quirks.stale_yaw=true"], "task.quirks.stale_yaw needs action_repeat=1"),
        (["learner.share_actor=true"], "learner.share_actor must be false"),
        (["task.global_state=observation"], "task.global_state must be"),
        (["task.observation=published"], "learner.policy.mirror must be false"),
        (["learner.policy.log_std_init=3"], "learner.policy.log_std_init must lie between"),
        (["sim.num_envs=2", "training.rollout_length=2"], "learner.actor_minibatches must be at most"),
        (["learner.policy.network.hidden=[0]"], "learner.policy.network.hidden must hold widths"),
        (["object.task.vertices=[[0,0],[0,1],[1,0]]"], "object.task.vertices must run counter-clockwise"),
        (["object.body.friction=[0.9, 0.1]"], "object.body.friction must be two coefficients"),
        (["training.total_steps=null"], "training.total_steps or stages must be given, not neither"),
        (["learner.actor_lr=nan"], "learner.actor_lr"),
    ],
)
def test_values_that_do_not_go_together_are_refused(overrides, words):
    assert refusal(*overrides).startswith(words)


@pytest.mark.parametrize("text", ["learner.gamma", "=3", "learner..gamma=1", "learner.gamma=[1", ""])
def test_a_malformed_override_is_refused(text):
    refusal(text)


def test_unknown_names_are_refused():
    assert refusal(preset="defualt") == "there is no preset called defualt; did you mean default?"
    assert "there is no object called sphere" in refusal(object_name="sphere")


def test_numbers_may_be_written_as_people_write_them():
    loaded = small_config("learner.actor_lr=1e-3", "training.total_steps=5e6", "learner.gamma=1")
    assert loaded.learner.actor_lr == 1e-3 and loaded.training.total_steps == 5_000_000 and loaded.learner.gamma == 1.0


def test_numbers_in_files_and_lists_too(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("extends: default\nlearner: {actor_lr: 1e-4}\ntraining: {total_steps: 2e6}\n")
    loaded = config.load(str(preset), overrides=["task.command_limit=[5e-1, 1e-1, 1.]"])
    assert loaded.learner.actor_lr == 1e-4 and loaded.training.total_steps == 2_000_000
    assert loaded.task.command_limit == (0.5, 0.1, 1.0)


@pytest.mark.parametrize(
    "change, path",
    [
        ("object.task.start_height=1e300", "object.task.start_height=1e+300"),
        ("task.rewards.success=-1e300", "task.rewards.success=-1e+300"),
        ("task.command_limit=[1, 1e300, 1]", "task.command_limit.1=1e+300"),
    ],
)
def test_numbers_beyond_single_precision_are_refused(change, path):
    assert refusal(change) == f"{path} is not allowed: numbers must be from -1e30 to 1e30"


def test_what_is_heavy_has_sizes_of_its_own_on_a_gpu():
    plain, heavy = (config.load("heavy", "", [], [part]) for part in ("gpu", "heavy-gpu"))
    assert (plain.sim.num_envs, heavy.sim.num_envs, heavy.learner.actor_lr) == (8192, 2048, 1.5e-3)
    assert (plain.learner.epochs, heavy.learner.epochs, heavy.training.rollout_length) == (5, 5, 8)


@pytest.mark.parametrize(
    "step, words",
    [
        ("1e-7", "physics_dt=1e-07 is not allowed: input should be greater than or equal to 0.00001"),
        ("0.03", "physics_dt=0.03 is not allowed: input should be less than or equal to 0.02"),
        ("0.007", "physics_dt must divide the control step of 0.02 s, not 0.007"),
    ],
)
def test_a_physics_step_that_cannot_be_is_refused(step, words):
    assert words in refusal(f"sim.planar.physics_dt={step}")


def test_a_preset_and_an_object_can_be_files(tmp_path):
    preset, thing = tmp_path / "mine.yaml", tmp_path / "plank.yaml"
    preset.write_text("extends: default\ndescription: mine\nlearner: {gamma: 0.9}\n")
    thing.write_text(
        "task: {num_robots: 2, vertices: [[-1, -0.2], [1, -0.2], [1, 0.2], [-1, 0.2]], symmetry_fold: 2,\n"
        "  mirror_axis: 0, start_height: 0.3, start_tilt: 0.0, robot_start_radius: [1.5, 2.0],\n"
        "  min_robot_distance: 0.3}\n"
        "body: {friction: [0.5, 0.6], parts: [{shape: box, size: [2, 0.4, 0.5], position: [0, 0, 0], mass: 3,\n"
        "  inertia: [0.1, 0.1, 0.1]}]}\n"
    )
    loaded = config.load(str(preset), str(thing))
    assert loaded.learner.gamma == 0.9 and loaded.object.name == "plank" and loaded.object.task.symmetry_fold == 2


@pytest.mark.parametrize("content", ["- 1\n", "a: [\n", "extends: [nope]\n", "extends: 3\n", "\x00"])
def test_a_broken_preset_file_is_refused(tmp_path, content):
    file = tmp_path / "broken.yaml"
    file.write_text(content)
    refusal(preset=str(file))


@pytest.mark.parametrize(
    "override, words",
    [
        ("task.team_size=[2]", "task.team_size=[2] is not allowed: it must have 2 values"),
        ("task.team_size=2", "task.team_size=2 is not allowed: give a list in brackets"),
        ("task.target_distance=[2]", "task.target_distance=[2] is not allowed: it must have 2 values"),
        ("task.command_limit=[]", "task.command_limit=[] is not allowed: it must have 3 values"),
        (f"team=[{','.join(['planar'] * 9)}]", "team has 9 robots; a team has 1 to 8"),
    ],
)
def test_a_list_of_a_wrong_length_is_one_sentence_that_blames_no_file(override, words):
    assert refusal(override, preset="generalist") == words


def test_an_object_that_starts_in_the_floor_is_refused():
    words = "object.body.parts start in the floor: object.task.start_height must be at least 0.25 m, not 0.1"
    assert refusal("object.task.start_height=0.1") == words


def test_an_object_extends_another(tmp_path):
    heavy, plain = (config.load("default", name).object for name in ("cuboid-24kg", "cuboid"))
    assert heavy.task == plain.task and heavy.body.friction == plain.body.friction
    assert heavy.body.parts[0].mass == 24.0 and heavy.name == "cuboid-24kg"
    file = tmp_path / "light.yaml"
    file.write_text("extends: cuboid-24kg\ntask: {num_robots: 3}\n")
    light = config.load("default", str(file)).object
    assert light.body == heavy.body and light.task.num_robots == 3
    for text, words in (
        (f"extends: {file}", "extends itself"),
        ("extends: cubod", "did you mean cuboid?"),
        ("extends: [cuboid]", "extends must be the name"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=re.escape(words)):
            config.load("default", str(file))


def test_a_preset_that_extends_itself_is_refused(tmp_path):
    file = tmp_path / "loop.yaml"
    file.write_text(f"extends: {file}\n")
    assert "extends itself" in refusal(preset=str(file))


def test_stages_have_their_own_rewards_and_steps():
    loaded = config.load("curriculum")
    first, last = loaded.stage(0), loaded.stage(2)
    assert loaded.total_steps == 6_000_000 and first.total_steps == 1_000_000
    assert first.task.rewards["approach_progress"] == 1.0 and last.task.rewards["exception"] == -4.0
    assert first.task.rewards["progress"] == loaded.task.rewards["progress"]
    assert last.learner.actor_lr == 3e-4


@pytest.mark.parametrize(
    "changes, words",
    [
        ("{sim: {num_envs: 3}}", "can hold task and learner, not sim"),
        ("{task: {rewards: {nope: 1}}}", "there is no field task.rewards.nope"),
        ("{task: {action_repeat: 2}}", "cannot change task.action_repeat"),
        ("{learner: {policy: {squash: false}}}", "cannot change learner.policy"),
        ("{learner: {gamma: 7}}", "learner.gamma=7"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(changes, words):
    stages = f"training.stages=[{{name: a, steps: 10, changes: {changes}}}]"
    assert words in refusal(stages, "training.total_steps=null")


def test_steps_and_stages_do_not_go_together():
    assert "not both" in refusal("training.total_steps=5", preset="curriculum")


def test_the_epochs_of_the_part_gpu_are_laid_over_the_default_alone(tmp_path):
    def epochs(preset, *parts):
        return config.load(preset, parts=parts).learner.epochs

    assert (epochs("default"), epochs("default", "gpu"), epochs("pose", "gpu")) == (2, 3, 3)
    assert epochs("heavy", "gpu") == epochs("heavy") == 5 and epochs("default", "harl", "gpu") == 5
    file = tmp_path / "mine.yaml"
    file.write_text("extends: [default, gpu]\nlearner: {epochs: 4}\n")
    assert epochs(str(file)) == 4
    run = config.load("default")
    assert config.overridden(run, [], parts=["gpu"]).learner == run.learner


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "sim: {robot: gol}",
            "mine.yaml: sim.robot=gol is not allowed: there is no robot called gol; did you mean go",
        ),
        ("learner: {gamma: 7}", "mine.yaml: learner.gamma=7 is not allowed"),
        ("task: {observation: featurs}", "mine.yaml: task.observation=featurs is not allowed: there is no observation"),
        ("object: cubod", "mine.yaml: there is no object called cubod; did you mean cuboid?"),
        ("object: {name: cuboid}", "mine.yaml: object must be an object's name or a YAML file"),
        ("extends: defalt", "mine.yaml: there is no preset or part called defalt; did you mean default?"),
        ("per_object: [cuboid]", "mine.yaml: per_object must map names of objects to fields"),
        ("per_object: {cuboid: 3}", "mine.yaml: per_object must map names of objects to fields"),
        ("per_object: {cubiod: {}}", "mine.yaml: per_object.cubiod: there is no object called cubiod; did you mean"),
        ("per_object: {cylinder: {task: {rewards: {psh: 1}}}}", "mine.yaml: there is no field task.rewards.psh"),
        ("per_object: {cuboid: {object: tblock}}", "mine.yaml: per_object.cuboid cannot set object"),
        ("over_default: 3", "mine.yaml: over_default must map fields to values, not 3"),
        ("over_default: {learner: {epoch: 3}}", "mine.yaml: there is no field learner.epoch"),
        ("training: 3", "mine.yaml: training=3 is not allowed"),
        ("task: 3", "mine.yaml: task=3 is not allowed"),
        ("training: {stages: [{name: a, step: 3}]}", "mine.yaml: there is no field training.stages.0.step"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(tmp_path, text, words):
    file = tmp_path / "mine.yaml"
    file.write_text(text if text.startswith("extends") else f"extends: default\n{text}\n")
    assert f"{tmp_path}/{words}" in refusal(preset=str(file))


def test_a_mistake_in_an_objects_file_names_the_file(tmp_path):
    file = tmp_path / "thing.yaml"
    text = (presets.OBJECTS["cuboid"]).read_text()
    file.write_text(text.replace("mass: 4.0", "mas: 4.0"))
    assert f"{file}: there is no field body.parts.0.mas" in refusal(object_name=str(file))
    file.write_text(text + "team: [go1, planer]\n")
    assert f"{file}: object.team.1=planer is not allowed: there is no robot called planer" in refusal(
        object_name=str(file)
    )


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["sim=3", "sim.num_envs=4"], "sim=3 is not allowed: sim is a section with fields"),
        (["team=[go1,planar]", "object.task.num_robots=3"], "team has 2 robots, but object.task.num_robots is 3"),
        (["team=[go1,planar]", "sim.robot=planar"], "sim.robot has no effect on a team (go1, planar)"),
        (["object=5"], "object=5 is not allowed: give an object's name or a YAML file"),
        (["team=[go1,plnar]"], "team.1=plnar is not allowed: there is no robot called plnar; did you mean planar?"),
    ],
)
def test_overrides_that_contradict_each_other_are_refused(overrides, words):
    assert refusal(*overrides).startswith(words)


def test_a_team_says_how_many_push():
    loaded = config.load(overrides=["team=[go1,planar,planar]"])
    assert loaded.object.task.num_robots == 3 and loaded.team_kinds == ["go1", "planar", "planar"]
    assert config.load(overrides=["sim.robot=go1"]).team_kinds == ["go1", "go1"]
    alike = ["team=[]", "sim.robot=go1"]  # what --robot go1 amounts to
    legs = config.load("generalist", overrides=alike)
    assert legs.team_kinds == ["go1"] * 4 == config.overridden(legs, [], "tblock").team_kinds
    assert config.load("generalist", overrides=[*alike, "task.team_size=[1,3]"]).team_kinds == ["go1"] * 3
    assert config.validated(loaded.model_dump(mode="json")) == loaded


def test_an_object_can_be_made_heavier_and_needs_no_inertia(tmp_path):
    heavy = config.load("default", "cuboid", ["object.body.mass=24"])
    assert heavy.object.body.parts == config.load("default", "cuboid-24kg").object.body.parts
    assert config.ExperimentConfig.model_validate(heavy.model_dump()) == heavy
    file = tmp_path / "solid.yaml"
    file.write_text(presets.OBJECTS["cuboid"].read_text().replace(", inertia: [0.25, 0.25, 0.25]", ""))
    assert config.load("default", str(file)).object.body.parts[0].inertia == pytest.approx((0.563333, 0.563333, 0.96))
    corners = [[0.4, 0.4], [1.6, 0.4], [1.6, 1.6], [0.4, 1.6]]
    prism = f"object.body.parts=[{{shape: prism, size: [0.5], vertices: {corners}, position: [0, 0, 0], mass: 4}}]"
    outline = f"object.task.vertices={corners}"
    assert config.load("default", "", [prism, outline]).object.body.parts[0].inertia == pytest.approx(
        (0.563333, 0.563333, 0.96)
    )
    words = "object.body.mass=30 has no effect on objects that are drawn: set family.mass"
    assert words in refusal("object.body.mass=30", object_name="random")
    words = "object.body.parts has no 0; give object.body.parts as a whole"
    assert words in refusal("object.body.parts.0.mass=3")
