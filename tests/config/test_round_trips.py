"""Any public config, with any values, is the same again from YAML and from its own Python code."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from hypothesis import given, settings, strategies as st

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.yaml import load_yaml

PUBLIC = [
    getattr(mt, name) for name in mt.__all__ if name.endswith("Config") and name != "BackboneConfig"
]
TEXTS = st.sampled_from(
    ["a", "10:20", "1e-3", "no", "2024-01-01", "007", "null", "~", "é µ", "[x]"]
)
# fields that are more than their type says
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "index": st.sampled_from([":", "10:20", "::10", "-5:"]),
    "max_time": st.none() | st.sampled_from(["00:11:30:00", "1:00:00:00"]),
    "module_class": st.none() | st.just("package.module:Class"),
    "milestones": st.lists(st.integers(1, 99), min_size=1).map(sorted),
    "additional_trainer_kwargs": st.dictionaries(
        st.sampled_from(["limit_train_batches", "profiler", "barebones"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    ),
    "path": st.sampled_from(["lightning.pytorch.loggers.MLFlowLogger", "mine.Logger"]),
    "query": st.dictionaries(TEXTS, st.integers() | TEXTS, min_size=1),
    "arguments": st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS),
    "per_element_references": st.none()
    | st.dictionaries(st.sampled_from(["Li", "O", "No", "Y"]), st.floats(-1e5, 1e5))
    | st.sampled_from([Path("refs.yaml"), Path("a b/é.json"), "isolated_atoms"]),
}


def structures() -> st.SearchStrategy[Atoms]:
    def build(periodic: bool, constrained: bool, labels: bool, shift: float) -> Atoms:
        atoms = bulk("Cu", cubic=True) if periodic else molecule("H2O")
        atoms.positions += shift
        atoms.info = {"name": "10:20", "n": 3, "REF_energy": shift}
        atoms.arrays["REF_forces"] = np.full((len(atoms), 3), shift)
        if constrained:
            atoms.set_constraint(FixAtoms([0]))
        if labels:
            forces = np.full((len(atoms), 3), 1 / 3)
            atoms.calc = SinglePointCalculator(atoms, energy=shift, forces=forces)
        return atoms

    flag = st.booleans()
    return st.builds(build, flag, flag, flag, st.floats(-1e4, 1e4))


def values(annotation: Any, metadata: Any = ()) -> st.SearchStrategy[Any]:
    """Return values of a field's type within its bounds."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(args[0], args[1:])
    if origin in (Union, types.UnionType):
        return st.one_of([values(arg, metadata) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(values(args[0]), min_size=1, max_size=2)
    if origin is dict:
        names = st.sampled_from(["bulk", "slab-2", "a.b", "no", "1e3", "007"])
        return st.dictionaries(names, values(args[1]), min_size=1, max_size=2)
    if origin is tuple:
        return st.tuples(*map(values, args))
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        return numbers(annotation, metadata)
    if annotation is Path:
        return st.sampled_from([Path("a.xyz"), Path("/tmp/a b/é.xyz"), Path("1e-3"), Path("no")])
    if annotation in (type(None), None):
        return st.none()
    if annotation is str:
        return TEXTS
    if isinstance(annotation, type) and issubclass(annotation, StrictConfig):
        return configs(annotation)
    msg = f"no values for {annotation}"
    raise AssertionError(msg)


def numbers(kind: type, metadata: Any) -> st.SearchStrategy[Any]:
    bounds: dict[str, Any] = {}
    for constraint in metadata:
        for part in (constraint, *getattr(constraint, "metadata", ())):
            for name in ("ge", "gt", "le", "lt"):
                if getattr(part, name, None) is not None:
                    bounds[name] = getattr(part, name)
    low = bounds.get("ge", bounds.get("gt", -1000))
    high = bounds.get("le", bounds.get("lt", 1000))
    if kind is int:
        return st.integers(low + ("gt" in bounds), int(high) - ("lt" in bounds))
    return st.floats(low, high, exclude_min="gt" in bounds, exclude_max="lt" in bounds)


def configs(cls: type[StrictConfig]) -> st.SearchStrategy[Any]:
    """Return configs of a class that its own validators accept."""
    if issubclass(cls, mt.AtomsListDatasetConfig):
        return st.builds(cls, atoms_list=st.lists(structures(), min_size=1, max_size=2))
    if issubclass(cls, (mt.BackboneConfig, mt.MatterTunerConfig)):
        return st.just(None)
    fields = {}
    for name, field in cls.model_fields.items():
        if cls is mt.RunConfig and name == "name":
            fields[name] = st.none() | st.sampled_from(["a b", "2024-01-01", "1e-3", "007", "no"])
        else:
            special = name in SPECIAL
            fields[name] = SPECIAL[name] if special else values(field.annotation, field.metadata)

    def attempt(given_: dict[str, Any]) -> StrictConfig | None:
        try:
            return cls(**given_)
        except mt.ConfigError:
            return None

    # some combinations are refused, which other tests look at
    optional = {k: v for k, v in fields.items() if not cls.model_fields[k].is_required()}
    required = {k: v for k, v in fields.items() if cls.model_fields[k].is_required()}
    return st.fixed_dictionaries(required, optional=optional).map(attempt).filter(bool)


def rebuilt(config: StrictConfig) -> Any:
    namespace: dict[str, Any] = {}
    exec(config.to_python(), namespace)
    return namespace["config"]


def assert_survives(config: StrictConfig) -> None:
    again = type(config).from_dict(load_yaml(config.to_yaml()))
    assert again == config
    assert again.to_yaml() == config.to_yaml()
    code = rebuilt(config)
    assert code == config
    assert code.to_yaml() == config.to_yaml()


SIMPLE = [c for c in PUBLIC if not issubclass(c, (mt.BackboneConfig, mt.MatterTunerConfig))]


@pytest.mark.parametrize("cls", SIMPLE, ids=lambda cls: cls.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_any_config_survives_yaml_and_python(cls, data):
    assert_survives(data.draw(configs(cls)))


schedules = st.one_of(
    st.none(),
    *map(
        configs,
        [mt.CosineAnnealingLRConfig, mt.StepLRConfig, mt.ReduceOnPlateauConfig, mt.LinearLRConfig],
    ),
    st.tuples(configs(mt.ConstantLRConfig), st.just(mt.ExponentialConfig())).map(list),
)


@settings(max_examples=25)
@given(
    backbone=st.sampled_from([mt.CHGNetBackboneConfig, mt.SevenNetBackboneConfig]),
    schedule=schedules,
    references=configs(mt.PerAtomReferencingNormalizerConfig),
    freeze=st.lists(TEXTS, max_size=2),
    data=configs(mt.AutoSplitDataModuleConfig) | configs(mt.ManualSplitDataModuleConfig),
    run=configs(mt.RunConfig),
)
def test_a_whole_run_survives_yaml_and_python(backbone, schedule, references, freeze, data, run):
    try:
        model = backbone(lr_scheduler=schedule, normalizers={"energy": [references]}, freeze=freeze)
    except mt.ConfigError as exc:
        assert "the schedules of a list must count the same interval" in str(exc)  # noqa: PT017
        return
    assert_survives(mt.MatterTunerConfig(model=model, data=data, run=run))


def test_constraints_are_no_part_of_a_structure_in_a_config():
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    forces = np.ones((4, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=forces)
    config = mt.AtomsListDatasetConfig(atoms_list=[atoms])
    # ASE sets the forces on a fixed atom to zero; a label is what the calculator says
    np.testing.assert_array_equal(config.create_dataset().labels(0)["forces"], forces)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:20", "10:20"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 1e-3),
        ("1.5", 1.5),
        ("-2", -2),
        (".5", 0.5),
        (".inf", float("inf")),
        ("1e", "1e"),
        ("null", None),
        ("true", True),
        ("1_000", "1_000"),
        ("010", 10),
        ("08", 8),
        ("-0x1f", "-0x1f"),
        ("0x1f", 31),
    ],
)
def test_yaml_says_what_people_mean(text, value):
    result = load_yaml(text)
    assert result == value
    assert type(result) is type(value)


def test_a_key_given_twice_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("max_epochs: 3\nlog_every_n_steps: 1\nmax_epochs: 5\n")
    with pytest.raises(mt.ConfigError, match=r"config\.yaml, line 3: .*'max_epochs' is set twice"):
        mt.TrainerConfig.from_yaml(path)


@pytest.mark.parametrize("text", ["max_epochs: [3", "? [a, b]\n: 3", "!!int x"])
def test_yaml_that_is_not_valid_is_one_error(text):
    with pytest.raises(mt.ConfigError, match="not valid YAML"):
        mt.TrainerConfig.from_yaml_text(text)


def test_a_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    mt.TrainerConfig(max_epochs=3).to_yaml("~/config.yaml")
    assert (tmp_path / "config.yaml").is_file()
    assert mt.TrainerConfig.from_yaml("~/config.yaml").max_epochs == 3
    with pytest.raises(mt.ConfigError, match=r"~nosuchuser/a\.yaml: cannot read the config"):
        mt.TrainerConfig.from_yaml("~nosuchuser/a.yaml")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "1e400"])
def test_a_setting_is_a_finite_number(value):
    with pytest.raises(mt.ConfigError, match="lr: Learning rate must be a finite number"):
        mt.AdamWConfig(lr=value)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfmax_epochs: 3\r\nloggers: [csv]\r\n")
    assert mt.TrainerConfig.from_yaml(path) == mt.TrainerConfig(max_epochs=3, loggers=["csv"])
