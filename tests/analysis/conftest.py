from tests.analysis.analysed import analysis, made_up, protocol, results  # noqa: F401
