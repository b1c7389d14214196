"""Why a run crashed: rules, the log that they are applied to, the diagnosis, and running a command under watch."""
