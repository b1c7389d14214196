"""Logs as other programs leave them, made here: the layout of their folders, their tags and their steps."""

import json

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

RISE = np.linspace(0, 1, 100)
"""A run of 100 records that improves throughout."""


def write(folder, series, texts=(), start=1.7e9, seconds=10.0, name="host.1.0"):
    """An event file in `folder`; `series` maps tags to (steps, values), `texts` tags to text."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted((int(at), tag, float(value)) for tag, (x, y) in series.items() for at, value in zip(x, y))
    order = {at: place for place, at in enumerate(sorted({at for at, _, _ in rows}))}
    with (folder / f"events.out.tfevents.{int(start)}.{name}").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=start, file_version="brain.Event:2").SerializeToString())
        for tag, text in dict(texts).items():
            event = Event(wall_time=start)
            value = event.summary.value.add(tag=tag, tensor=make_tensor_proto(np.array([text.encode()], dtype=object)))
            value.metadata.plugin_data.plugin_name = "text"
            writer.write(event.SerializeToString())
        for at, tag, number in rows:
            event = Event(wall_time=start + seconds * (1 + order[at]), step=at)
            event.summary.value.add(tag=tag, simple_value=number)
            writer.write(event.SerializeToString())
    return folder


def curves(values, every=10_000, first=None):
    """Series of 100 records on common steps."""
    steps = (np.arange(100) + 1) * every if first is None else first + np.arange(100) * every
    return {tag: (steps, value + 0 * RISE) for tag, value in values.items()}


def noisy(level, seed=0):
    return level * np.random.default_rng(seed).normal(size=100)


def cleanrl(root, algorithm="ppo", seed=1, scale=1.0, table=True):
    log = curves(
        {
            "charts/episodic_return": scale * (300 * RISE + noisy(5, seed)),
            "charts/SPS": 900,
            "losses/value_loss": 5 + 90 * RISE,
            "losses/entropy": 1.4 - RISE,
            "charts/learning_rate": 3e-4 * (1 - RISE),
        }
    )
    rows = f"|param|value|\n|-|-|\n|exp_name|{algorithm}|\n|seed|{seed}|\n|env_id|Hopper-v4|\n|gamma|0.99|"
    return write(
        root / f"Hopper-v4__{algorithm}__{seed}__16885{seed:05d}", log, {"hyperparameters": rows} if table else {}
    )


def sb3(root, number=1, name="PPO"):
    log = curves(
        {
            "rollout/ep_rew_mean": 200 * RISE + noisy(3, number),
            "rollout/ep_len_mean": 200,
            "time/fps": 800 * (1 - 0.9 * RISE),
            "train/std": 2.5 + RISE,
            "train/explained_variance": 0.05,
            "train/value_loss": np.exp(4 * RISE),
            "train/entropy_loss": -2.8,
        }
    )
    return write(root / f"{name}_{number}", log)


def rl_games(root, name="Ant", date="03-10-20-30", seed=0):
    frames = (np.arange(100) + 1) * 65_536
    log = {}
    for base, value in (
        ("rewards", 5000 * RISE + noisy(50, seed)),
        ("episode_lengths", 900 * RISE + 10),
        ("shaped_rewards", 50 * RISE),
    ):
        log[f"{base}/step"], log[f"{base}/iter"], log[f"{base}/time"] = (
            (frames, value),
            (np.arange(100) + 1, value),
            (np.arange(100) * 3, value),
        )
    for tag, value in {
        "losses/a_loss": 0.001,
        "losses/c_loss": 0.1 + RISE,
        "losses/entropy": 8 - RISE,
        "info/kl": 0.008,
        "info/epochs": np.arange(100) + 1,
        "performance/step_inference_rl_update_fps": 80_000,
    }.items():
        log[tag] = (frames, value + 0 * RISE)
    return write(root / f"{name}_{date}" / "summaries", log).parent


def rsl_rl(root, date="2024-03-01_10-20-30", perf=True, each=98_304, first=0, config=None):
    at = first + np.arange(100)
    collected, learned = 1.3 + 0.01 * noisy(1) ** 2, 0.4 + 0.001 * noisy(1, 1) ** 2
    log = {
        tag: (at, value + 0 * RISE)
        for tag, value in {
            "Loss/surrogate": -0.01,
            "Loss/value_function": 0.5 + 3 * RISE,
            "Train/mean_reward": 30 * RISE + noisy(0.5),
            "Policy/mean_noise_std": 1 - 0.6 * RISE,
            "Episode_Reward/track": RISE,
        }.items()
    }
    seconds = np.cumsum(collected + learned).astype(int)
    log["Train/mean_reward/time"] = (seconds, log["Train/mean_reward"][1])
    if perf:
        log["Perf/total_fps"] = (at, (each / (np.float32(collected) + np.float32(learned))).astype(int))
        log["Perf/collection time"], log["Perf/learning_time"] = (at, collected), (at, learned)
    folder = write(root / date, log)
    if config is not None:
        (folder / "params").mkdir()
        (folder / "params" / "agent.yaml").write_text(config)
    return folder


def skrl(root, date="24-03-01_10-20-30-123456_PPO"):
    return write(
        root / date,
        curves(
            {
                "Reward / Total reward (mean)": 40 * RISE,
                "Reward / Instantaneous reward (mean)": 0.1,
                "Loss / Policy loss": -0.01,
                "Loss / Value loss": 1,
                "Policy / Standard deviation": 0.9,
                "Episode / Total timesteps (mean)": 300,
            },
            every=600,
        ),
    )


def tianshou(root, seed=0):
    log = curves(
        {
            "train/reward": 100 * RISE,
            "test/reward": 120 * RISE,
            "test/reward_std": 3,
            "train/length": 90,
            "save/epoch": np.arange(100),
            "save/env_step": np.arange(1, 101) * 10_000,
        },
        every=10_000,
    )
    log.update(
        {
            tag: (np.arange(100) * 640, value + 0 * RISE)
            for tag, value in {"update/loss": 5 * RISE, "update/q": RISE}.items()
        }
    )
    return write(
        root / "Ant-v4" / "ppo" / str(seed) / f"24030{seed + 1}-102030",
        log,
        {"args": f"Namespace(task='Ant-v4', seed={seed}, lr=0.0003, device='cpu')"},
    )


def rllib(root, new=True, seed=1):
    counter = "ray/tune/num_env_steps_sampled_lifetime" if new else "ray/tune/timesteps_total"
    at = np.arange(1, 101) if new else np.arange(1, 101) * 4000
    reward = "ray/tune/env_runners/episode_return_mean" if new else "ray/tune/episode_reward_mean"
    values = np.where(RISE < 0.03, np.nan, 150 * RISE)
    log = {
        reward: (at, values),
        counter: (at, np.arange(1, 101) * 4000.0),
        "ray/tune/learners/default_policy/entropy": (at, 0.6 - 0.3 * RISE),
        "ray/tune/perf/ram_util_percent": (at, 40 + 0 * RISE),
    }
    folder = write(root / f"PPO_CartPole-v1_a1b2{seed}_0000{seed}_{seed}_seed={seed}_2024-03-01_10-20-30", log)
    (folder / "params.json").write_text(json.dumps({"env": "CartPole-v1", "seed": seed, "lr": 5e-5, "num_workers": 2}))
    return folder


def epymarl(root, algorithm="qmix", seed=1):
    return write(
        root / f"{algorithm}_seed{seed}_3m_2024-03-01 10:20:30.{seed}00000",
        curves(
            {
                "return_mean": 20 * RISE,
                "test_return_mean": 20 * RISE,
                "battle_won_mean": 0.9 * RISE,
                "test_battle_won_mean": 0.9 * RISE,
                "ep_length_mean": 30,
                "loss": 0.1,
                "grad_norm": np.exp(4 * RISE),
            }
        ),
    )


def benchmarl(root):
    at = np.arange(100)
    return write(
        root / "mappo_balance_mlp__a1b2c3d4_24_03_01-10_20_30",
        {
            tag: (at, value + 0 * RISE)
            for tag, value in {
                "collection/reward/episode_reward_mean": 30 * RISE,
                "counters/iter": at,
                "counters/total_frames": (at + 1) * 60_000.0,
                "train/agents/entropy": 1 - RISE,
                "timers/total_time": at * 3.0,
            }.items()
        },
    )


def on_policy(root, number=1):
    """The original MAPPO: a folder for each tag, and neither configuration nor seed."""
    logs = root / "MPE" / "simple_spread" / "mappo" / "check" / f"run{number}" / "logs"
    for tag, value in {
        "average_episode_rewards": -200 + 80 * RISE + noisy(2, number),
        "value_loss": 0.1,
        "policy_loss": -0.001,
        "dist_entropy": 1.6 - RISE,
        "actor_grad_norm": 0.2,
        "critic_grad_norm": 0.4,
    }.items():
        write(logs / tag / tag, curves({tag: value}, 3_200))
    return logs.parent


def sample_factory(root, seed=1):
    folder = root / "train_dir" / f"doom_seed_{seed}"
    write(
        folder / ".summary" / "0",
        curves(
            {
                "reward/reward": 40 * RISE,
                "len/len": 500,
                "policy_stats/avg_true_objective": 40 * RISE,
                "perf/_fps": 20_000,
                "train/entropy": 2 - RISE,
                "train/kl_divergence": 0.01,
                "train/loss": 0.1,
            },
            131_072,
        ),
    )
    (folder / "config.json").write_text(
        json.dumps({"algo": "APPO", "env": "doom_basic", "seed": seed, "experiment": folder.name, "gamma": 0.99})
    )
    return folder


def torchrl(root):
    """A script of its own: nobody can know what its steps are."""
    return write(root / "exp", curves({"train/reward": 30 * RISE, "train/lr": 3e-4, "eval/reward": 32 * RISE}, 2048))


def mapush_fork(root, drop=False):
    """MAPush with a reward term more, whose own average falls by a fifth if `drop`."""
    own = np.where(RISE < 0.5, 1 + RISE, 1.5 - 0.8 * (RISE - 0.5)) if drop else 0.1 + RISE
    for tag, value in {
        "average_step_reward": own + 0.05,
        "distance_to_target_reward": 0.05,
        "formation_bonus": own,
        "dist_entropy": 4.2568 - RISE,
        "value_loss": 0.1,
    }.items():
        write(root / "fork" / "logs" / tag / tag, curves({tag: value}, 1_000_000))
    return root / "fork"
