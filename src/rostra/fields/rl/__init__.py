"""Reinforcement learning: logs of transitions, environments, evaluation and collection of episodes."""
