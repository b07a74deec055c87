from . import losses as losses
from . import visualization as visualization
from .config import Config as Config
from .config import load_config as load_config
from .data.builder import prepare as prepare
from .data.case import Case as Case
from .diagnosis import diagnose as diagnose
from .errors import InputError as InputError
from .errors import Interrupted as Interrupted
from .evaluation import evaluate as evaluate
from .inference.instances.arrays import segment_instances as segment_instances
from .inference.instances.parameters import InstanceParameters as InstanceParameters
from .inference.load import load as load
from .inference.predictor import Predictor as Predictor
from .inference.suggestion.cubes import suggest as suggest
from .selection.find_best import find_best as find_best
from .selection.instances import select_instances as select_instances
from .selection.validation import validate_distribution as validate_distribution
from .training.pretraining import pretrain as pretrain
from .training.reporting import Listener as Listener
from .training.train import TrainedRun as TrainedRun
from .training.train import train as train

__version__: str
