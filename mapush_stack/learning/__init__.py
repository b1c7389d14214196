"""The learners: MAPPO and HAPPO. They know observations, states, rewards and dones, never robots."""
