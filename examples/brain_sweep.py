"""Sweep a whole-brain network over its global coupling, with 16 noise trials at every value.

The network has 84 regions on a measured connectome. Each region is a reduced Wong-Wang model driven
by noise, and excites the others (tvboptim provides the model and the connectome). With weak
coupling, all regions stay quiet; with strong coupling, they keep each other active. In between,
where the hubs switch on, activity fluctuates most, and the simulated functional connectivity (FC)
is most similar to the measured one.

    python examples/brain_sweep.py [output folder]
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from tvboptim.data import load_functional_connectivity, load_structural_connectivity
from tvboptim.experimental.network_dynamics import Network, prepare
from tvboptim.experimental.network_dynamics.coupling import LinearCoupling
from tvboptim.experimental.network_dynamics.dynamics.tvb import ReducedWongWang
from tvboptim.experimental.network_dynamics.graph import DenseGraph
from tvboptim.experimental.network_dynamics.noise import AdditiveNoise
from tvboptim.experimental.network_dynamics.solvers import Heun

import gridax as gx

# JAX treats a CPU as one device. With one device per core, the sweep uses all of them. This has to
# be set before JAX starts.
gx.use_cpu_devices()

# Streamline counts span six decades, so take their square root, and scale the mean strength to 1.
weights, _, regions = load_structural_connectivity("dk_average")
weights = np.sqrt(weights) / np.sqrt(weights).sum(axis=1).mean()
pairs = np.triu_indices(len(regions), k=1)
measured = np.asarray(load_functional_connectivity("dk_average"))[pairs]

network = Network(
    dynamics=ReducedWongWang(),
    coupling={"instant": LinearCoupling(incoming_states="S")},
    graph=DenseGraph(weights, region_labels=regions),
    noise=AdditiveNoise(sigma=0.005, apply_to="S"),
)
simulate, config = prepare(network, Heun(), t0=0.0, t1=25_000.0, dt=2.0)  # ms
time = np.linspace(5.0, 25.0, 200, endpoint=False)  # s; the first 5 s are transient


def model(config):
    S = simulate(config).ys[2_500::5, 0]  # (time, region), every 10 ms after the transient
    fit = jnp.corrcoef(jnp.corrcoef(S.T)[pairs], measured)[0, 1]
    return xr.Dataset(
        {
            "S": ("region", S.mean(axis=0), {"long_name": "synaptic gating S", "units": "1"}),
            "course": ("time", S.mean(axis=1)[::10], {"long_name": "mean S", "units": "1"}),
            "fit": ((), fit, {"long_name": "fit to measured FC, r", "units": "1"}),
        },
        {"region": regions, "time": ("time", time, {"units": "s"})},
    )


about_G = {"long_name": "global coupling G", "units": "1"}
config.coupling.instant.G = gx.GridAxis(0.1, 0.4, 31, name="G", attrs=about_G)
config.noise.key = gx.KeyAxis(16, name="trial", attrs={"long_name": "noise trial"})
space = gx.Space(config, mode="product", key=jax.random.key(0))
result = gx.ParallelExecution(model, space).run()

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "brain_sweep")
folder.mkdir(parents=True, exist_ok=True)
result.to_netcdf(folder / "brain_sweep.nc")

ds = result.dataset
best = ds.fit.mean("trial").idxmax("G").item()
by_strength = np.argsort(weights.sum(axis=1))
wander = ds.course.std("time").assign_attrs(long_name="SD over time of mean S")
fig, ((top, hubs), (fits, sds)) = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
for ax, y in (top, ds.S.mean("region")), (fits, ds.fit), (sds, wander):
    y.plot.line(ax=ax, x="G", color="0.7", lw=0.7, add_legend=False)
    y.mean("trial").plot(ax=ax, color="tab:red", lw=2.5)
    ax.axvline(best, color="0.3", ls=":")
ds.S.mean("trial").isel(region=by_strength).plot(ax=hubs, x="G", cmap="magma")
hubs.axvline(best, color="w", ls=":")
hubs.set(yticks=[], ylabel="regions, weakly to strongly connected")
top.set_title("Coupling switches the network on ...")
hubs.set_title("... the hubs first")
fits.set_title(f"FC fits best at G = {best} (grey: trials)")
sds.set_title("There activity fluctuates most")
fig.savefig(folder / "brain_sweep.png", dpi=150)

print(ds)
print(f"data:   {folder / 'brain_sweep.nc'}\nfigure: {folder / 'brain_sweep.png'}")
