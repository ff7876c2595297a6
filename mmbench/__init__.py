"""mmbench: learning two tasks from few labels under domain shift, measured."""
