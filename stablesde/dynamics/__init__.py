"""Particle systems driven by stable noise, their McKean–Vlasov limit, and coupled runs of both."""

from stablesde.dynamics._coupled import coupled_limit, coupled_steps
from stablesde.dynamics._flow import LawFlow, law_flow
from stablesde.dynamics._fokker_planck import FokkerPlanck, fokker_planck
from stablesde.dynamics._functionals import functionals
from stablesde.dynamics._picard import picard_flow
from stablesde.dynamics._record import Recording, record
from stablesde.dynamics._simulate import Trajectory, simulate, simulate_limit

__all__ = [
    "FokkerPlanck",
    "LawFlow",
    "Recording",
    "Trajectory",
    "coupled_limit",
    "coupled_steps",
    "fokker_planck",
    "functionals",
    "law_flow",
    "picard_flow",
    "record",
    "simulate",
    "simulate_limit",
]
