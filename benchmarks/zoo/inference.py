"""Statistics, learning and finance."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm

import gridax as gx

from .case import Case, sides

State = dict[str, Any]


def _series(n: int) -> np.ndarray:
    """Return a noisy observation of a random walk."""
    random = np.random.default_rng(3)
    return (random.normal(0, 0.3, n).cumsum() + random.normal(0, 0.5, n)).astype(np.float32)


def kalman(state: State) -> Any:
    """Log-likelihood of a local linear trend: matrices of 2 × 2, fixed data."""
    move = np.array([[1, 1], [0, 1]], np.float32)
    look = np.array([[1, 0]], np.float32)

    def step(carry: Any, y: Any) -> Any:
        mean, cov = move @ carry[0], move @ carry[1] @ move.T + state["q"] * jnp.eye(2)
        spread = look @ cov @ look.T + state["r"]
        gain = cov @ look.T / spread
        surprise = y - look @ mean
        mean, cov = mean + gain @ surprise, (jnp.eye(2) - gain @ look) @ cov
        return (mean, cov), norm.logpdf(surprise[0], 0.0, jnp.sqrt(spread[0, 0]))

    return jax.lax.scan(step, (jnp.zeros(2), jnp.eye(2)), _series(200))[1].sum()


def kalman_state(n: int) -> State:
    qs, rs = sides(n, 1, 1)
    return {"q": gx.LogGridAxis(0.01, 1.0, qs), "r": gx.LogGridAxis(0.1, 2.0, rs)}


def hidden_markov(state: State) -> Any:
    """Log-likelihood by the forward algorithm, eight hidden states."""
    n = 8
    stay = state["stay"] * jnp.eye(n) + (1 - state["stay"]) / n
    levels = np.linspace(-4, 4, n, dtype=np.float32)

    def step(alpha: Any, y: Any) -> Any:
        alpha = logsumexp(alpha[:, None] + jnp.log(stay), axis=0)
        return alpha + norm.logpdf(y, levels, state["noise"]), None

    alpha, _ = jax.lax.scan(step, jnp.full(n, -jnp.log(8.0)), _series(100))
    return logsumexp(alpha)


def hidden_markov_state(n: int) -> State:
    stays, noises = sides(n, 1, 1)
    return {"stay": gx.GridAxis(0.1, 0.95, stays), "noise": gx.GridAxis(0.3, 2.0, noises)}


def train_mlp(state: State) -> Any:
    """Loss of a small network after 100 steps of gradient descent."""
    x = np.linspace(-2, 2, 64, dtype=np.float32)[:, None]
    y = np.sin(2 * x)
    first, second = jax.random.split(state["seed"])
    weights = {
        "in": jax.random.normal(first, (1, 16)),
        "bias": jnp.zeros(16),
        "out": jax.random.normal(second, (16, 1)) / 4,
    }

    def loss(w: Any) -> Any:
        return ((jnp.tanh(x @ w["in"] + w["bias"]) @ w["out"] - y) ** 2).mean()

    def step(w: Any, _: None) -> Any:
        return jax.tree.map(lambda p, g: p - state["rate"] * g, w, jax.grad(loss)(w)), None

    return loss(jax.lax.scan(step, weights, length=100)[0])


def train_mlp_state(n: int) -> State:
    seeds, rates = sides(n, 1, 1)
    return {"seed": gx.KeyAxis(seeds), "rate": gx.LogGridAxis(0.003, 0.1, rates)}


def gaussian_process(state: State) -> Any:
    """Log-likelihood of 30 observations: the kernel depends on one axis, its factors on both."""
    x, y = np.linspace(0, 6, 30, dtype=np.float32), _series(30)
    kernel = jnp.exp(-(jnp.subtract.outer(x, x) ** 2) / (2 * state["length"] ** 2))
    lower = jnp.linalg.cholesky(kernel + state["noise"] * jnp.eye(30))
    white = jax.scipy.linalg.solve_triangular(lower, y, lower=True)
    return -0.5 * (white**2).sum() - jnp.log(jnp.diag(lower)).sum()


def gaussian_process_state(n: int) -> State:
    lengths, noises = sides(n, 1, 1)
    return {"length": gx.GridAxis(0.2, 2.0, lengths), "noise": gx.LogGridAxis(0.05, 1.0, noises)}


def sinkhorn(state: State) -> Any:
    """Optimal transport with entropy: the kernel depends on one axis, the target on the other."""
    x = np.linspace(0, 1, 32, dtype=np.float32)
    kernel = jnp.exp(-((x[:, None] - x) ** 2) / state["epsilon"])
    target = jax.nn.softmax(-50 * (x - state["center"]) ** 2)

    def step(_: Any, v: Any) -> Any:
        return target / (kernel.T @ (1 / 32 / (kernel @ v)))

    v = jax.lax.fori_loop(0, 50, step, jnp.ones(32))
    u = 1 / 32 / (kernel @ v)
    return (u[:, None] * kernel * v * (x[:, None] - x) ** 2).sum()


def sinkhorn_state(n: int) -> State:
    epsilons, centers = sides(n, 1, 2)
    return {
        "epsilon": gx.LogGridAxis(0.02, 0.5, epsilons),
        "center": gx.GridAxis(0.2, 0.8, centers),
    }


def metropolis(state: State) -> State:
    """A Markov chain on a curved density, one draw per step."""

    def log_density(x: Any) -> Any:
        return -0.5 * x[0] ** 2 - 2 * (x[1] - x[0] ** 2) ** 2

    def step(carry: Any, key: Any) -> Any:
        x, accepted = carry
        jump, coin = jax.random.split(key)
        new = x + state["width"] * jax.random.normal(jump, (2,))
        take = jnp.log(jax.random.uniform(coin)) < log_density(new) - log_density(x)
        return (jnp.where(take, new, x), accepted + take), x

    keys = jax.random.split(state["chain"], 200)
    (_, accepted), x = jax.lax.scan(step, (jnp.zeros(2), jnp.int32(0)), keys)
    return {"mean": x.mean(axis=0), "accepted": accepted}


def metropolis_state(n: int) -> State:
    widths, chains = sides(n, 1, 2)
    return {"width": gx.LogGridAxis(0.1, 3.0, widths), "chain": gx.KeyAxis(chains)}


def black_scholes(state: State) -> State:
    """Closed formula for call options of 12 maturities (Black and Scholes, 1973)."""
    years = np.linspace(0.25, 3, 12, dtype=np.float32)
    spread = state["volatility"] * jnp.sqrt(years)
    d = (jnp.log(state["spot"] / state["strike"]) + 0.02 * years) / spread + spread / 2
    discounted = state["strike"] * jnp.exp(-0.02 * years)
    price = state["spot"] * norm.cdf(d) - discounted * norm.cdf(d - spread)
    return {"price": price.sum(), "delta": norm.cdf(d).mean()}


def black_scholes_state(n: int) -> State:
    spots, strikes, volatilities = sides(n, 1, 1, 1)
    return {
        "spot": gx.GridAxis(80, 120, spots),
        "strike": gx.GridAxis(80, 120, strikes),
        "volatility": gx.GridAxis(0.1, 0.5, volatilities),
    }


def monte_carlo(state: State) -> Any:
    """Price of an Asian option from 256 paths; the strike enters only at the end."""
    shocks = jax.random.normal(state["seed"], (256, 12))
    drift = -(state["volatility"] ** 2) / 24
    paths = jnp.exp(jnp.cumsum(drift + state["volatility"] * 12**-0.5 * shocks, axis=1))
    return jnp.maximum(paths.mean(axis=1) - state["strike"], 0).mean()


def monte_carlo_state(n: int) -> State:
    seeds, volatilities, strikes = sides(n, 1, 1, 1)
    return {
        "seed": gx.KeyAxis(seeds),
        "volatility": gx.GridAxis(0.1, 0.5, volatilities),
        "strike": gx.GridAxis(0.8, 1.2, strikes),
    }


def quantiles(state: State) -> Any:
    """Five quantiles of 500 draws from a skewed distribution: a sort."""
    draws = jax.random.normal(state["sample"], (500,))
    skewed = draws + state["skew"] * draws**2
    return jnp.quantile(skewed, np.array([0.05, 0.25, 0.5, 0.75, 0.95], np.float32))


def quantiles_state(n: int) -> State:
    samples, skews = sides(n, 2, 1)
    return {"sample": gx.KeyAxis(samples), "skew": gx.GridAxis(0, 1, skews)}


CASES = (
    Case("Kalman filter", "statistics", kalman, kalman_state, 102_400),
    Case("hidden Markov model, forward", "statistics", hidden_markov, hidden_markov_state, 102_400),
    Case("training of a small MLP", "learning", train_mlp, train_mlp_state, 4096, rtol=1e-2),
    Case(
        "Gaussian process, Cholesky",
        "statistics",
        gaussian_process,
        gaussian_process_state,
        200_000,
        rtol=1e-2,
        atol=1e-2,
    ),
    Case("Sinkhorn transport", "learning", sinkhorn, sinkhorn_state, 65_536),
    Case(
        "Metropolis–Hastings chain", "statistics", metropolis, metropolis_state, 65_536, stray=0.01
    ),
    Case("Black–Scholes formula", "finance", black_scholes, black_scholes_state, 4_000_000),
    Case("Monte Carlo option", "finance", monte_carlo, monte_carlo_state, 200_000),
    Case("quantiles of samples", "statistics", quantiles, quantiles_state, 25_000),
)
