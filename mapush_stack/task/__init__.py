"""The pushing task as pure, batched tensor functions: torch in, torch out, no simulator and no learner."""
