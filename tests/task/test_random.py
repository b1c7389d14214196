import torch

from mapush_stack.task.random import philox, uniform


def test_philox_matches_the_published_test_vectors():
    # Known answers of Random123's philox4x32-10.
    cases = [
        ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ]
    for counter, key, expected in cases:
        assert philox(torch.tensor(counter), key).tolist() == expected


def test_draws_belong_to_their_environment_and_episode_alone():
    ids, episodes = torch.arange(50), torch.arange(50) % 7
    together = uniform(5, 0, ids, episodes, 10)
    order = torch.randperm(50)
    assert torch.equal(uniform(5, 0, ids[order], episodes[order], 10), together[order])
    assert torch.equal(uniform(5, 0, ids[13:14], episodes[13:14], 10), together[13:14])
    assert torch.equal(uniform(5, 0, ids, episodes, 3), together[:, :3])


def test_seed_stream_environment_and_episode_all_matter():
    one, zero = torch.ones(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    draws = [
        uniform(seed, stream, env, episode, 4)
        for seed in (1, 2, 2**40)
        for stream in (0, 1)
        for env in (zero, one)
        for episode in (zero, one)
    ]
    assert len({tuple(draw[0].tolist()) for draw in draws}) == len(draws)


def test_numbers_are_uniform():
    numbers = uniform(3, 0, torch.arange(20_000), torch.zeros(20_000, dtype=torch.int64), 5)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert (numbers.mean(0) - 0.5).abs().max() < 0.01
    assert (numbers.var(0) - 1 / 12).abs().max() < 0.002
    correlation = torch.corrcoef(numbers.T) - torch.eye(5)
    assert correlation.abs().max() < 0.03
