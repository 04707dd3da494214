"""Many small networks at once on a GPU: mutual distillation and its rivals.

    python results/search/mutual_on_gpu.py --arm=mutual --networks=2 \
        --epochs=400 --weight_decays=1e-3,1.4e-3 --seeds=12 --data_dir=DIR

The regime of `results/longer.flags`, written anew in JAX (which the package
does not need: `pip install jax[cuda13]`), convolutions in bfloat16. All pairs
of weight decay and seed train side by side. Arms:

    alone       networks on their own
    mutual      targets from the peers' predictions
    averages    targets from the mean of all networks' moving averages, each
                on its own view; with one network its own average teaches it
    born_again  a network on its own, then one that its average teaches

In cost, moving averages add a third to an epoch, being taught by a network
that is ready likewise.

Judged on 8,000 training images that nobody learned from or chose by, never on
the test split. Results are appended to `--out`, a record a line;
`mutual_on_gpu.jsonl` holds those of results/PLAN.md.
"""

import argparse
import functools
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

TRAIN = 2000
POOL = 2 * TRAIN  # Each seed halves it: training and validation.
HELD_OUT = 8000
BATCH = 64
STEPS = TRAIN // BATCH
MOMENTUM = 0.9
TEMPERATURE = 2.0
SWA_START = 0.75
AVERAGE_DECAY = 0.999  # A step, of the moving averages that teach.
FILTERS = (16, 32, 64)
EVALUATION_BATCH = 250
PICK_SEED = 7


def read_images(data_dir):
    """12,000 training images of CIFAR-10 at 16x16, and their classes."""
    from keras_graft.data import cifar10_16

    train, _ = cifar10_16.read(data_dir)
    order = np.random.default_rng(PICK_SEED).permutation(len(train))
    rows = order[: POOL + HELD_OUT]
    return jnp.asarray(train.images[rows]), jnp.asarray(train.labels[rows])


def kernel_shapes():
    """Shape (inputs, filters) of each 3x3 kernel of a ResNet-8, flattened."""
    shapes, channels = {"stem": (27, FILTERS[0])}, FILTERS[0]
    for stage, filters in enumerate(FILTERS):
        shapes[f"{stage}a"] = (9 * channels, filters)
        shapes[f"{stage}b"] = (9 * filters, filters)
        channels = filters
    return shapes


def initial(key, models):
    """The weights of so many networks: the first axis numbers them."""
    weights = {}
    for i, (name, shape) in enumerate(kernel_shapes().items()):
        keys = jax.random.split(jax.random.fold_in(key, i), models)
        normal = jax.vmap(lambda k, s=shape: jax.random.normal(k, s))(keys)
        weights[name] = normal * (2 / shape[0]) ** 0.5
        weights[f"{name}_gamma"] = jnp.ones((models, shape[1]))
        weights[f"{name}_beta"] = jnp.zeros((models, shape[1]))
    limit = FILTERS[-1] ** -0.5
    weights["dense"] = jax.random.uniform(
        jax.random.fold_in(key, 99),
        (models, FILTERS[-1], 10),
        minval=-limit,
        maxval=limit,
    )
    weights["bias"] = jnp.zeros((models, 10))
    return weights


def convolution(x, kernel, stride):
    """One batched matrix product: grouped convolutions are slow on GPUs."""
    models, batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    patches = jnp.concatenate(
        [
            x[:, :, i : i + height : stride, j : j + width : stride]
            for i in range(3)
            for j in range(3)
        ],
        axis=-1,
    )
    shape = patches.shape[:4]
    y = jnp.einsum(
        "mnk,mko->mno",
        patches.reshape(models, -1, 9 * channels),
        kernel.astype(jnp.bfloat16),
    )
    return y.reshape(*shape, -1)


def forward(weights, x, statistics=None):
    """Logits, and the batch's statistics where none are given."""
    seen = {}

    def conv_bn(x, name, stride=1):
        y = convolution(x, weights[name], stride).astype(jnp.float32)
        if statistics is None:
            mean = y.mean((1, 2, 3))
            variance = jnp.square(y).mean((1, 2, 3)) - jnp.square(mean)
            seen[name] = (mean, jnp.maximum(variance, 0))
        mean, variance = (statistics or seen)[name]
        scale = weights[f"{name}_gamma"] * jax.lax.rsqrt(variance + 1e-5)
        shift = weights[f"{name}_beta"] - mean * scale
        spread = (slice(None), None, None, None)
        return y * scale[spread] + shift[spread]

    x = jax.nn.relu(conv_bn(x.astype(jnp.bfloat16), "stem"))
    x = x.astype(jnp.bfloat16)
    for stage, filters in enumerate(FILTERS):
        stride = 2 if stage else 1
        residual = jax.nn.relu(conv_bn(x, f"{stage}a", stride))
        residual = conv_bn(residual.astype(jnp.bfloat16), f"{stage}b")
        shortcut = x[:, :, ::stride, ::stride]
        half = (filters - shortcut.shape[-1]) // 2
        shortcut = jnp.pad(shortcut, ((0, 0),) * 4 + ((half, half),))
        x = jax.nn.relu(residual + shortcut).astype(jnp.bfloat16)
    pooled = x.astype(jnp.float32).mean((2, 3))
    logits = jnp.einsum("mbk,mko->mbo", pooled, weights["dense"])
    return logits + weights["bias"][:, None], seen


def augment(key, images):
    """Pads by 2, crops at random, mirrors one image in two."""
    crops, mirrors = jax.random.split(key)
    corners = jax.random.randint(crops, (len(images), 2), 0, 5)
    padded = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    cropped = jax.vmap(
        lambda image, corner: jax.lax.dynamic_slice(
            image, (*corner, 0), (16, 16, 3)
        )
    )(padded, corners)
    mirrored = jax.random.bernoulli(mirrors, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirrored, cropped[:, :, ::-1], cropped)


class Study:
    """Networks in groups of N that see the same images in a step."""

    def __init__(self, options, images, labels, seeds, weight_decays):
        self.options = options
        self.images, self.labels = images, labels
        pixels = images[:POOL].astype(jnp.float32)
        self.mean, self.std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
        self.pairs = [(w, s) for w in weight_decays for s in seeds]
        self.groups = len(self.pairs)
        self.models = self.groups * options.networks
        halves = [
            np.random.default_rng(seed).permutation(POOL)
            for _, seed in self.pairs
        ]
        self.train = jnp.asarray(np.stack([h[:TRAIN] for h in halves]))
        self.validation = jnp.asarray(np.stack([h[TRAIN:] for h in halves]))
        self.held_out = jnp.broadcast_to(
            POOL + jnp.arange(HELD_OUT), (self.groups, HELD_OUT)
        )
        decays = jnp.asarray([w for w, _ in self.pairs])
        self.decay = jnp.repeat(decays, options.networks)
        self.averaged_from = round(SWA_START * options.epochs)

    def batch(self, key, positions):
        """Images of each network, augmented by itself, and their classes."""
        n = self.options.networks
        rows = jnp.take_along_axis(self.train, positions, 1)
        keys = jax.random.split(key, self.models)
        seen = jax.vmap(augment)(keys, jnp.repeat(self.images[rows], n, 0))
        return self.normal(seen), jnp.repeat(self.labels[rows], n, 0)

    def normal(self, images):
        return (images.astype(jnp.float32) - self.mean) / self.std

    def loss(self, weights, x, y, targets):
        """Sum over networks of cross-entropy and of what teaches them."""
        logits, seen = forward(weights, x)
        smoothing = self.options.label_smoothing
        right = (1 - smoothing) * jax.nn.one_hot(y, 10) + smoothing / 10
        total = -(right * jax.nn.log_softmax(logits)).sum(-1).mean(-1).sum()
        logits = logits / TEMPERATURE
        if self.options.arm == "mutual":
            n = self.options.networks
            own = jax.lax.stop_gradient(jax.nn.softmax(logits))
            own = own.reshape(self.groups, n, BATCH, 10)
            targets = (own.sum(1, keepdims=True) - own) / (n - 1)
            targets = targets.reshape(logits.shape)
        if targets is not None:
            surprise = jnp.log(targets + 1e-12) - jax.nn.log_softmax(logits)
            divergence = (targets * surprise).sum(-1).mean(-1)
            total += TEMPERATURE**2 * divergence.sum()
        return total, seen

    def targets(self, teacher, x):
        """What teaches each network; None without a teacher."""
        if teacher is None:
            return None
        if self.options.arm == "born_again":
            return jax.nn.softmax(
                forward(teacher[0], x, teacher[1])[0] / TEMPERATURE
            )
        n = self.options.networks
        of_each = jax.nn.softmax(forward(teacher, x)[0] / TEMPERATURE)
        of_each = of_each.reshape(self.groups, n, BATCH, 10)
        return jnp.repeat(of_each.mean(1), n, 0)

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
    def epoch(self, state, key, number, teacher):
        weights, slots, average, moving = state
        order, augmentation = jax.random.split(jax.random.fold_in(key, number))
        positions = jax.vmap(lambda k: jax.random.permutation(k, TRAIN))(
            jax.random.split(order, self.groups)
        )
        steps = self.options.epochs * STEPS
        held = self.averaged_from * STEPS

        def each(decay, tensor):
            return decay.reshape(-1, *[1] * (tensor.ndim - 1))

        def step(state, i):
            weights, slots, moving = state
            x, y = self.batch(
                jax.random.fold_in(augmentation, i),
                jax.lax.dynamic_slice_in_dim(positions, i * BATCH, BATCH, 1),
            )
            targets = self.targets(moving if teacher is None else teacher, x)
            gradients, _ = jax.grad(self.loss, has_aux=True)(
                weights, x, y, targets
            )
            done = jnp.minimum(number * STEPS + i, held) / steps
            rate = self.options.learning_rate * (1 + jnp.cos(jnp.pi * done)) / 2
            slots = jax.tree.map(
                lambda m, g, w: MOMENTUM * m + g + each(self.decay, w) * w,
                slots,
                gradients,
                weights,
            )
            weights = jax.tree.map(lambda w, m: w - rate * m, weights, slots)
            if moving is not None:
                moving = jax.tree.map(
                    lambda m, w: m + (1 - AVERAGE_DECAY) * (w - m),
                    moving,
                    weights,
                )
            return (weights, slots, moving), None

        (weights, slots, moving), _ = jax.lax.scan(
            step, (weights, slots, moving), jnp.arange(STEPS)
        )
        count = jnp.maximum(number - self.averaged_from + 1, 0)
        share = jnp.where(count > 0, 1 / jnp.maximum(count, 1), 0.0)
        average = jax.tree.map(
            lambda a, w: a + share * (w - a), average, weights
        )
        return weights, slots, average, moving

    @functools.partial(jax.jit, static_argnums=0)
    def statistics(self, weights, key):
        """Of BatchNormalization: means over an epoch's batches."""

        def of_batch(_, i):
            positions = jnp.broadcast_to(
                i * BATCH + jnp.arange(BATCH), (self.groups, BATCH)
            )
            x, _ = self.batch(jax.random.fold_in(key, i), positions)
            return None, forward(weights, x)[1]

        _, seen = jax.lax.scan(of_batch, None, jnp.arange(STEPS))
        return jax.tree.map(lambda s: s.mean(0), seen)

    @functools.partial(jax.jit, static_argnums=0)
    def probabilities(self, weights, statistics, rows):
        """Shape (groups, networks, images, classes)."""
        n = self.options.networks

        def of_batch(_, rows):
            x = jnp.repeat(self.normal(self.images[rows]), n, 0)
            logits = forward(weights, x, statistics)[0]
            return None, jax.nn.softmax(logits)

        batches = rows.reshape(self.groups, -1, EVALUATION_BATCH)
        _, found = jax.lax.scan(of_batch, None, batches.swapaxes(0, 1))
        return found.swapaxes(0, 1).reshape(self.groups, n, -1, 10)

    def trained(self, key, teacher=None):
        """The averaged weights and their statistics."""
        weights = initial(jax.random.fold_in(key, 1), self.models)
        zeros = functools.partial(jax.tree.map, jnp.zeros_like)
        moving = None
        if self.options.arm == "averages":
            moving = jax.tree.map(jnp.copy, weights)
        state = (weights, zeros(weights), zeros(weights), moving)
        for number in range(self.options.epochs):
            state = self.epoch(
                state, jax.random.fold_in(key, 2), number, teacher
            )
        average = state[2]
        return average, self.statistics(average, jax.random.fold_in(key, 3))

    def run(self):
        """Trains; returns a record for each weight decay and seed."""
        key = jax.random.key(self.pairs[0][1])
        average, statistics = self.trained(key)
        if self.options.arm == "born_again":
            average, statistics = self.trained(
                jax.random.fold_in(key, 4), (average, statistics)
            )
        seen = self.probabilities(average, statistics, self.validation)
        unseen = self.probabilities(average, statistics, self.held_out)
        of_each = _accuracy(seen, self.labels[self.validation][:, None])
        best = of_each.argmax(1)
        right = self.labels[self.held_out]
        held_out = _accuracy(unseen, right[:, None])
        together = _accuracy(unseen.mean(1), right)
        return [
            {
                "arm": self.options.arm,
                "networks": self.options.networks,
                "epochs": self.options.epochs,
                "label_smoothing": self.options.label_smoothing,
                "weight_decay": decay,
                "seed": seed,
                "validation": float(of_each[g, best[g]]),
                "held_out": float(held_out[g, best[g]]),
                "ensemble_held_out": float(together[g]),
            }
            for g, (decay, seed) in enumerate(self.pairs)
        ]


def _accuracy(probabilities, labels):
    return np.asarray((probabilities.argmax(-1) == labels).mean(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--arm",
        choices=("alone", "mutual", "averages", "born_again"),
        default="mutual",
    )
    parser.add_argument("--label_smoothing", type=float, default=0.0)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--learning_rate", type=float, default=0.2)
    parser.add_argument("--weight_decays", default="1e-3")
    parser.add_argument("--first_seed", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--data_dir")
    parser.add_argument("--out", default="mutual_on_gpu.jsonl")
    options = parser.parse_args()
    if options.arm == "mutual" and options.networks < 2:
        parser.error("mutual distillation needs --networks=2 or more")
    began = time.perf_counter()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    decays = [float(decay) for decay in options.weight_decays.split(",")]
    images, labels = read_images(options.data_dir)
    found = Study(options, images, labels, seeds, decays).run()
    with open(options.out, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in found)
    for decay in decays:
        of_decay = [r for r in found if r["weight_decay"] == decay]
        means = [
            f"{name} {100 * np.mean([r[name] for r in of_decay]):.2f}"
            for name in ("validation", "held_out", "ensemble_held_out")
        ]
        print(f"weight decay {decay:g}: {', '.join(means)}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
