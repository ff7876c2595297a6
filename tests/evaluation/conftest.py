"""Property tests here run the same examples each time, however slow a first import makes one."""

from hypothesis import settings

settings.register_profile("evaluation", deadline=None, derandomize=True)
settings.load_profile("evaluation")
