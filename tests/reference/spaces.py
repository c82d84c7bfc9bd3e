"""Spaces, as the reference shows them: composition, iteration, access and tables.

Indentation restored, imports changed, the cosmetics of figures left out.
"""

# ruff: noqa

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from gridax import Space, GridAxis, UniformAxis, DataAxis

# Create a realistic brain simulation parameter space
simulation_state = {
    "coupling": {
        "strength": GridAxis(0.1, 0.8, 5),  # Coupling strength
        "delay": UniformAxis(5.0, 25.0, 3),  # Transmission delays (ms)
    },
    "model": {
        "noise_amplitude": DataAxis([0.01, 0.02, 0.05]),  # Noise levels from pilot study
        "time_constant": 10.0,  # Fixed parameter
    },
    "simulation": {
        "dt": 0.1,  # Fixed time step
        "duration": 1000,  # Fixed duration
    },
}
# Create the space
space = Space(simulation_state, mode="product", key=jax.random.key(789))
print(f"Parameter space contains {len(space)} combinations")
print(f"Combination modes: 5 × 3 × 3 = {5 * 3 * 3} (Grid × Uniform × Data)")
# Look at a few parameter combinations
print("\nFirst 3 parameter combinations:")
print("=" * 50)
for i, params in enumerate(space):
    if i >= 3:
        break
    print(f"\nCombination {i}:")
    print(f" Coupling strength: {params['coupling']['strength']:.3f}")
    print(f" Coupling delay: {params['coupling']['delay']:.2f} ms")
    print(f" Noise amplitude: {params['model']['noise_amplitude']:.3f}")
    print(f" Time constant: {params['model']['time_constant']} (fixed)")
    print(f" Simulation dt: {params['simulation']['dt']} (fixed)")

# Product mode: systematic exploration
product_state = {
    "param_a": GridAxis(0.0, 1.0, 3),
    "param_b": GridAxis(0.0, 1.0, 2),
}
product_space = Space(product_state, mode="product")
print(f"Product mode: {len(product_space)} combinations")
print("\nAll combinations (product mode):")
for i, params in enumerate(product_space):
    print(f" {i}: a={params['param_a']:.1f}, b={params['param_b']:.1f}")

# Zip mode: matched sampling
zip_space = Space(product_state, mode="zip")
print(f"Zip mode: {len(zip_space)} combinations (uses minimum axis size)")
print("\nMatched combinations (zip mode):")
for i, params in enumerate(zip_space):
    print(f" {i}: a={params['param_a']:.1f}, b={params['param_b']:.1f}")

# Create a more interesting comparison
comparison_state = {
    "x": GridAxis(0.0, 2.0, 8),
    "y": GridAxis(0.0, 2.0, 5),
}
product_comp = Space(comparison_state, mode="product")
zip_comp = Space(comparison_state, mode="zip")
# Extract coordinates for plotting
product_x = [p["x"] for p in product_comp]
product_y = [p["y"] for p in product_comp]
zip_x = [p["x"] for p in zip_comp]
zip_y = [p["y"] for p in zip_comp]
fig, (ax1, ax2) = plt.subplots(1, 2, figsize=(8.1, 5))
# Product mode visualization
ax1.scatter(product_x, product_y, color="blue", s=50, alpha=0.7)
# Zip mode visualization
ax2.scatter(zip_x, zip_y, color="red", s=100, alpha=0.7)
ax2.plot(zip_x, zip_y, "r--", alpha=0.5, linewidth=1)
plt.show()

# Three matched settings that must stay together
setting_values_a = jnp.array([1.0, 2.0, 3.0])
setting_values_b = jnp.array([10.0, 20.0, 30.0])
grouped_state = {
    "setting_a": DataAxis(setting_values_a, group="settings"),
    "setting_b": DataAxis(setting_values_b, group="settings"),
    "param_x": GridAxis(0.0, 1.0, 4),
}
space = Space(grouped_state, mode="product", key=jax.random.key(42))
print(f"Total combinations: {len(space)}")
print(f" = 3 settings x 4 param_x = {3 * 4}")
print(f" (NOT 3 x 3 x 4 = {3 * 3 * 4})")
print("\nAll combinations:")
for i, params in enumerate(space):
    print(
        f" {i}: setting_a={params['setting_a']:.0f}, "
        f"setting_b={params['setting_b']:.0f}, "
        f"param_x={params['param_x']:.2f}"
    )

# Create a space for demonstration
demo_state = {
    "coupling": GridAxis(0.0, 1.0, 6),
    "noise": UniformAxis(0.01, 0.1, 6),
    "threshold": 0.5,  # Fixed value
}
demo_space = Space(demo_state, mode="zip", key=jax.random.key(42))
print(f"Demo space has {len(demo_space)} combinations")

# Standard iteration - perfect for simulations
print("Sequential iteration (first 3):")
for i, params in enumerate(demo_space):
    if i >= 3:
        break
    print(f" Run {i}: coupling={params['coupling']:.2f}, noise={params['noise']:.4f}")

# Direct indexing - great for debugging specific combinations
print("Random access examples:")
print(f" Combination 0: coupling = {demo_space[0]['coupling']:.3f}")
print(f" Combination 2: coupling = {demo_space[2]['coupling']:.3f}")
print(f" Last combination: coupling = {demo_space[-1]['coupling']:.3f}")
# Negative indexing works too
print(f" Second to last: coupling = {demo_space[-2]['coupling']:.3f}")

# Slicing creates new spaces - perfect for subset analysis
subset = demo_space[1:4]
print(f"Subset contains {len(subset)} combinations")
print("Subset combinations:")
for i, params in enumerate(subset):
    print(f" Original index {i + 1}: coupling={params['coupling']:.3f}")
# Slicing with steps
every_other = demo_space[::2]
print(f"\nEvery other combination ({len(every_other)} total):")
for i, params in enumerate(every_other):
    print(f" Index {i}: coupling={params['coupling']:.3f}")

# Parameter space as a DataFrame
df_params = demo_space.to_dataframe()
print(df_params.head())

from gridax import SequentialExecution


def compute_metric(state):
    return {
        "activity": state["coupling"] * 2 + state["noise"],
        "ratio": state["coupling"] / (state["noise"] + 1e-6),
    }


result = SequentialExecution(compute_metric, demo_space).run()
df = result.to_dataframe()
print(df.head())

fig, (ax1, ax2) = plt.subplots(1, 2, figsize=(8.1, 4))
ax1.scatter(df["coupling"], df["activity"])
ax2.scatter(df["noise"], df["ratio"], c=df["coupling"], cmap="viridis")
plt.show()
