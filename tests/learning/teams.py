"""Small environments for learners, and learners over them."""

import torch

from mapush_stack.device.process_group import ALONE
from mapush_stack.learning.registry import LEARNERS
from mapush_stack.learning.vec_env import AgentSpec, EnvSpec, TeamEnv, TeamStep


def native(config, env, rollout_length=4, seed=1, world=ALONE):
    """This project's own learner of `config.algorithm`."""
    return LEARNERS["native"].algorithm(config.algorithm)(config, env, rollout_length, seed, world)


def plan_of(config, env=None):
    """The plan of a whole experiment over its environment."""
    from mapush_stack.training import session

    plan = session._plan(config, ALONE)
    return plan if env is None else plan._replace(spec=env.spec)


class Team(TeamEnv):
    """One-decision episodes in which each robot should act as its own observation says.

    Robot i sees numbers in [-1, 1] and is rewarded for the first of its action being the mean of what it sees, the
    others 0. What lies beyond a robot's own numbers is checked to be 0.
    """

    def __init__(self, spec, num_envs=8, seed=0):
        self.spec, self.num_envs, self.device = spec, num_envs, torch.device("cpu")
        self._generator = torch.Generator().manual_seed(seed)

    def _draw(self):
        self._seen = torch.zeros(self.num_envs, self.spec.num_agents, self.spec.observation_size)
        for index, agent in enumerate(self.spec.agents):
            shape = (self.num_envs, agent.observation_size)
            self._seen[:, index, : agent.observation_size] = 2 * torch.rand(shape, generator=self._generator) - 1

    def reset(self, random_ages=False):
        self._draw()
        return self.observe()

    def observe(self):
        values, numbers = self.spec.state_shape
        return self._seen, self._seen.flatten(1)[:, :numbers].unsqueeze(1).expand(-1, values, -1)

    def step(self, action):
        wanted = torch.zeros_like(action)
        for index, agent in enumerate(self.spec.agents):
            assert not action[:, index, agent.action_size :].any(), "numbers that the robot does not have"
            wanted[:, index, 0] = self._seen[:, index, : agent.observation_size].mean(-1)
        rewards = -((action - wanted) ** 2).sum(-1)
        final_state = self.observe()[1]
        self._draw()
        done = torch.ones(self.num_envs, dtype=torch.bool)
        return TeamStep(*self.observe(), rewards, done, torch.zeros_like(done), final_state)

    def state_dict(self):
        return {"seen": self._seen.clone(), "generator": self._generator.get_state()}

    def load_state_dict(self, state):
        self._seen = state["seen"].clone()
        self._generator.set_state(state["generator"])

    def close(self):
        pass


UNLIKE = EnvSpec((AgentSpec(5, 3), AgentSpec(2, 1)), (1, 10))
"""A robot that sees 5 numbers and gives 3, and one that sees 2 and gives 1."""
