"""The pushing task as batched tensor functions, without a simulator or a learner."""
