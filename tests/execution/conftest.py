import sys
import types

b = types.ModuleType("mmbench.report.build")


class R:
    table = None
    paths = ()
    main = None


b.Report = R
b.make_report = lambda *a, **k: R()
sys.modules["mmbench.report.build"] = b
