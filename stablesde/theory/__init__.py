"""Theory with numbers: the bounds of the paper, sharper ones, laws and predicted exponents.

References: Wan, Zaidi and Şimşekli (2023), Theorems 3.1, 4.1, 4.2 and Lemma B.1, with the
corrections listed in the documentation ("Theory"); Gribonval, Cevher and Davies (2012) for i.i.d.
compressibility.
"""

from stablesde.theory._bounds import chaos_bound, euler_order, strong_error_bound
from stablesde.theory._compression import (
    CompressionLaw,
    compression_law,
    required_width,
)
from stablesde.theory._maximum import (
    lemma_b1,
)
from stablesde.theory._predictions import predict_chaos, predict_strong_error

__all__ = [
    "CompressionLaw",
    "chaos_bound",
    "compression_law",
    "euler_order",
    "lemma_b1",
    "predict_chaos",
    "predict_strong_error",
    "required_width",
    "strong_error_bound",
]
