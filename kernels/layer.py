"""One routed layer without torch: capsules of the children in, capsules of the parents out, by the C++ forward pass."""

import ctypes
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matcaps.kernels.library import ForwardTensors, LayerStruct, library, padded
from matcaps.kernels.windows import WindowTables, even_mass

Floats = NDArray[np.float32]


class Constants(NamedTuple):
    """The constants of EM routing, by the names and with the meaning of ``matcaps.model.config.RoutingConfig``."""

    iterations: int
    final_inverse_temperature: float
    density_temperature: float
    variance_floor: float
    relative_mass: bool
    competition_by_type: bool


class Parents(NamedTuple):
    """The parents of a routed layer."""

    logits: Floats
    """[image, parent site, parent type]: of their activations."""
    poses: Floats
    """[image, parent site, parent type, 4, 4]."""
    assignments: Floats | None
    """[image, parent site, position, child type, parent type]: R_ij of the last iteration, if asked for."""


@dataclass(frozen=True)
class RoutedLayer:
    """EM routing of one layer (paper, section 3, Procedure 1), as ``matcaps.model.routing.eager`` defines it.

    Attributes:
        windows: Which children each parent sees.
        weights: float32 [position, or 1 for all, child type, parent type, 4, 4].
        beta_u, beta_a: float32 [parent type].
        coordinates: float32 [position, 2], added to the votes of a position; or None.
        constants: Of the procedure.
    """

    windows: WindowTables
    weights: Floats
    beta_u: Floats
    beta_a: Floats
    coordinates: Floats | None
    constants: Constants

    def __post_init__(self) -> None:
        for name in ("weights", "beta_u", "beta_a", "coordinates"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, np.ascontiguousarray(values, np.float32))
        positions, _, parent_types = self.weights.shape[:3]
        expected = {
            "weights": (positions, self.weights.shape[1], parent_types, 4, 4),
            "beta_u": (parent_types,),
            "beta_a": (parent_types,),
            "coordinates": (self.windows.positions, 2),
        }
        for name, shape in expected.items():
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise ValueError(f"{name} must have the shape {shape}, got {values.shape}")
        if positions not in (1, self.windows.positions):
            raise ValueError(f"there must be 1 or {self.windows.positions} positions of weights, got {positions}")

    def route(self, poses: Floats, activations: Floats, *, assignments: bool = False, threads: int = 1) -> Parents:
        """Fit the parents to the votes of a batch of children. Other threads may run meanwhile.

        Args:
            poses: [image, child site, child type, 4, 4].
            activations: [image, child site, child type], in [0, 1].
            assignments: Whether to return them.
            threads: Threads of the kernel; results do not depend on it.

        Raises:
            ValueError: The children do not fill the windows' grid, or are of another number of types.
            MemoryError: There is not enough memory for the kernel's tables.
        """
        windows, constants = self.windows, self.constants
        child_types, parent_types = self.weights.shape[1:3]
        images = len(poses)
        expected = (images, windows.child_sites, child_types)
        if poses.shape != (*expected, 4, 4) or activations.shape != expected:
            raise ValueError(
                f"expected poses {(*expected, 4, 4)} and activations {expected}, "
                f"got {poses.shape} and {activations.shape}"
            )
        poses, activations = (np.ascontiguousarray(values, np.float32) for values in (poses, activations))
        sites, positions = windows.seen.shape
        found = Parents(
            np.empty((images, sites, parent_types), np.float32),
            np.empty((images, sites, parent_types, 4, 4), np.float32),
            np.empty((images, sites, positions, child_types, parent_types), np.float32) if assignments else None,
        )
        competing_types = 1 if constants.competition_by_type else parent_types
        struct = LayerStruct(
            images=images,
            child_sites=windows.child_sites,
            parent_sites=sites,
            positions=positions,
            child_types=child_types,
            parent_types=parent_types,
            lanes=padded(parent_types),
            shared=len(self.weights) == 1,
            windows_at_most=windows.slots.shape[1],
            iterations=constants.iterations,
            threads=threads,
            seen=windows.seen.ctypes.data,
            slots=windows.slots.ctypes.data,
            windows_of_child=windows.windows_of_child.ctypes.data,
            coordinates=_address(self.coordinates),
            final_inverse_temperature=constants.final_inverse_temperature,
            mass_unit=even_mass(windows, child_types, competing_types) if constants.relative_mass else 1.0,
            density_temperature=constants.density_temperature,
            variance_floor=constants.variance_floor,
            competing_types=competing_types,
        )
        tensors = ForwardTensors(
            poses=_address(poses),
            activations=_address(activations),
            weights=_address(self.weights),
            beta_u=_address(self.beta_u),
            beta_a=_address(self.beta_a),
            logits=_address(found.logits),
            means=_address(found.poses),
            assignments=_address(found.assignments),
            weighings=None,
            gaussians=None,
        )
        # ctypes releases the GIL during the call.
        if not library().matcaps_forward(ctypes.byref(struct), ctypes.byref(tensors), 0):
            raise MemoryError(f"not enough memory to route {images} images on the CPU")
        return found


def _address(values: Floats | None) -> int | None:
    return None if values is None else values.ctypes.data
