"""Where does a FitzHugh-Nagumo neuron oscillate? Two axes, one model, one plot."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import gridax as gx


def model(state):
    def step(neuron, _):
        v, w = neuron
        dv = v - v**3 / 3 - w + state["drive"]
        dw = (v + 0.7 - 0.8 * w) / state["tau"]
        return (v + 0.1 * dv, w + 0.1 * dw), v

    _, v = jax.lax.scan(step, (0.0, 0.0), length=6000)
    return {"amplitude": jnp.ptp(v[3000:])}


state = {
    "drive": gx.GridAxis(0, 2, 101, attrs={"long_name": "input current", "units": "1"}),
    "tau": gx.GridAxis(1, 10, 91, attrs={"long_name": "recovery time constant", "units": "1"}),
}
result = gx.ParallelExecution(model, gx.Space(state, mode="product")).run()
print(result.dataset)

result.dataset["amplitude"].plot(x="drive", cbar_kwargs={"label": "peak to peak of v [1]"})
plt.title("Only a medium drive makes the neuron oscillate")
plt.savefig("minimal.png", dpi=150)
