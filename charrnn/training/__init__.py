"""The Lightning side: data module, module, schedules, checkpoints, reports while it runs."""
