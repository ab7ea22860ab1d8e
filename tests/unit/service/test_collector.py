"""What the collector of cyclic garbage looks at while a process serves."""

import gc

from matcaps.service.collector import YOUNG, spare_loaded_objects


def test_what_exists_is_spared() -> None:
    """Objects that exist are left out of all later collections, and those begin less often."""
    before = gc.get_threshold()
    try:
        spare_loaded_objects()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 1_000
        assert gc.get_threshold()[0] == YOUNG > before[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
