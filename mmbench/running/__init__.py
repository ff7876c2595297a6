"""From a plan to a finished run: tasks handed out, looks taken, the summary."""
