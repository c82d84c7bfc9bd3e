"""Execution, as the reference shows it: sequential and parallel runs, and their results.

Indentation restored, imports changed, the cosmetics of figures left out.
"""

# ruff: noqa

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpyro.distributions as dist
from gridax import Space, GridAxis, UniformAxis, DataAxis, NumPyroAxis

from gridax import SequentialExecution


# Define a simple brain simulation model
def brain_simulation(state, noise_factor=1.0):
    """
    Simple brain simulation that combines coupling and noise.
    Returns both simulation results and metadata.
    """
    coupling = state["coupling"]
    noise = state["noise"] * noise_factor
    # Simulate some dynamics (simplified for demonstration)
    activity = coupling * jnp.sin(jnp.linspace(0, 4 * jnp.pi, 100)) + noise * jax.random.normal(
        jax.random.key(42), shape=(100,)
    )
    # Calculate some metrics
    mean_activity = jnp.mean(activity)
    peak_activity = jnp.max(activity)
    return {
        "activity": activity,
        "metrics": {
            "mean": mean_activity,
            "peak": peak_activity,
            "coupling_used": coupling,
            "noise_used": noise,
        },
    }


# Create a parameter space for our simulation
simulation_state = {
    "coupling": GridAxis(0.2, 1.5, 4),
    "noise": UniformAxis(0.01, 0.1, 4),
    "fixed_param": 42.0,
}
space = Space(simulation_state, mode="zip", key=jax.random.key(123))
print(f"Parameter space: {len(space)} combinations")
# Set up sequential execution
sequential_executor = SequentialExecution(
    model=brain_simulation,
    statespace=space,
    noise_factor=1.5,  # Additional parameter passed to model
)
print("\nExecuting simulations sequentially...")

# Run the sequential execution (with progress bar)
sequential_results = sequential_executor.run()
print(f"Execution complete! Got {len(sequential_results)} results")
# Access results
first_result = sequential_results[0]
print(f"\nFirst result structure:")
print(f" Activity shape: {first_result['activity'].shape}")
print(f" Mean activity: {first_result['metrics']['mean']:.3f}")
print(f" Peak activity: {first_result['metrics']['peak']:.3f}")
print(f" Coupling used: {first_result['metrics']['coupling_used']:.3f}")
# Analyze all results
print(f"\nAll simulation metrics:")
for i, result in enumerate(sequential_results):
    metrics = result["metrics"]
    print(
        f" Run {i}: coupling={metrics['coupling_used']:.2f}, "
        f"noise={metrics['noise_used']:.4f}, mean={metrics['mean']:.3f}"
    )

# Visualize sequential execution results
fig, (ax1, ax2) = plt.subplots(1, 2, figsize=(8.1, 4))
# Plot activity traces
for i, result in enumerate(sequential_results):
    activity = result["activity"]
    coupling = result["metrics"]["coupling_used"]
    ax1.plot(activity[:50], alpha=0.7, label=f"Coupling={coupling:.2f}")
# Plot coupling vs mean activity relationship
couplings = [r["metrics"]["coupling_used"] for r in sequential_results]
means = [r["metrics"]["mean"] for r in sequential_results]
ax2.scatter(couplings, means, s=100, alpha=0.7, color="blue")
plt.show()

from gridax import ParallelExecution

# Create a larger parameter space for parallel execution
parallel_state = {
    "coupling": GridAxis(0.1, 2.0, 8),
    "noise": UniformAxis(0.005, 0.05, 8),
    "threshold": 0.5,  # Fixed parameter
}
parallel_space = Space(parallel_state, mode="product", key=jax.random.key(456))
print(f"Larger parameter space: {len(parallel_space)} combinations")


# Define a JAX-optimized model for parallel execution
def fast_brain_model(state):
    """
    JAX-optimized brain model for parallel execution.
    Simpler than sequential version for faster computation.
    """
    coupling = state["coupling"]
    noise = state["noise"]
    # Simplified dynamics that's faster to compute
    base_activity = coupling * jnp.sin(jnp.arange(20) * 0.5)
    noisy_activity = base_activity + noise * jax.random.normal(jax.random.key(123), shape=(20,))
    return {
        "mean_activity": jnp.mean(noisy_activity),
        "max_activity": jnp.max(noisy_activity),
        "params": state,
    }


# Set up parallel execution
n_devices = jax.device_count()
print(f"Available devices: {n_devices}")
parallel_executor = ParallelExecution(
    model=fast_brain_model,
    space=parallel_space,
    n_vmap=8,  # Vectorize over 8 parameter combinations
    n_pmap=1,  # Use 1 device (can use more if available)
)
print("\nExecuting simulations in parallel...")

# Run parallel execution
parallel_results = parallel_executor.run()
print(f"Parallel execution complete! Got {len(parallel_results)} results")
# Access results - same interface as sequential
first_parallel = parallel_results[0]
print(f"\nFirst parallel result:")
print(f" Mean activity: {first_parallel['mean_activity']:.3f}")
print(f" Max activity: {first_parallel['max_activity']:.3f}")
print(f" Coupling: {first_parallel['params']['coupling']:.3f}")
# Get subset of results
subset_results = parallel_results[5:15]
print(f"\nSubset contains {len(subset_results)} results")
# Analyze parameter-activity relationships
couplings = [r["params"]["coupling"] for r in parallel_results]
means = [r["mean_activity"] for r in parallel_results]
max_vals = [r["max_activity"] for r in parallel_results]
print(f"\nParameter exploration summary:")
print(f" Coupling range: [{min(couplings):.2f}, {max(couplings):.2f}]")
print(f" Mean activity range: [{min(means):.3f}, {max(means):.3f}]")
print(f" Max activity range: [{min(max_vals):.3f}, {max(max_vals):.3f}]")

# Visualize parallel execution results
fig, axes = plt.subplots(2, 2, figsize=(8.1, 8))
# 1. Coupling vs Mean Activity
ax = axes[0, 0]
ax.scatter(couplings, means, alpha=0.6, s=30)
# 2. Noise vs Mean Activity
noises = [r["params"]["noise"] for r in parallel_results]
ax = axes[0, 1]
ax.scatter(noises, means, alpha=0.6, s=30, color="orange")
# 3. 2D parameter space visualization
ax = axes[1, 0]
scatter = ax.scatter(couplings, noises, c=means, cmap="viridis", s=50)
plt.colorbar(scatter, ax=ax)
# 4. Mean vs Max Activity
ax = axes[1, 1]
ax.scatter(means, max_vals, alpha=0.6, s=30, color="red")
plt.show()

import time

# Compare execution times for different approaches
small_state = {"param1": GridAxis(0.0, 1.0, 5), "param2": UniformAxis(0.0, 1.0, 5)}
small_space = Space(small_state, mode="product", key=jax.random.key(789))


def simple_model(state):
    return {"result": state["param1"] * state["param2"]}


print("Performance comparison on 25 parameter combinations:")
print("=" * 55)
# Sequential timing
seq_exec = SequentialExecution(simple_model, small_space)
start = time.time()
seq_results = seq_exec.run()
seq_time = time.time() - start
print(f"Sequential execution: {seq_time:.4f} seconds")
# Parallel timing
par_exec = ParallelExecution(simple_model, small_space, n_vmap=5, n_pmap=1)
start = time.time()
par_results = par_exec.run()
par_time = time.time() - start
print(f"Parallel execution: {par_time:.4f} seconds")
if seq_time > par_time:
    speedup = seq_time / par_time
    print(f"Parallel speedup: {speedup:.1f}x faster")
else:
    print("Sequential was faster (overhead dominates for small problems)")
print(f"\nBoth produced {len(seq_results)} results")

# Works with any axis type
complex_state = {
    "coupling": NumPyroAxis(dist.Beta(2.0, 5.0), n=3),  # Probabilistic
    "delay": DataAxis([5.0, 10.0, 15.0]),  # Specific values
    "noise": GridAxis(0.01, 0.1, 3),  # Systematic
    "region_params": 68.0,  # Fixed value
}
complex_space = Space(complex_state, mode="product", key=jax.random.key(999))
print(f"Complex space: {len(complex_space)} combinations")
# Both executors handle this seamlessly
print("✓ Sequential execution: handles any space complexity")
print("✓ Parallel execution: vectorizes over any parameter combination")
print("✓ Results: same access patterns regardless of execution type")
