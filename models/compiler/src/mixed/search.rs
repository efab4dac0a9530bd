//! Which width each layer gets.

use super::LayerCost;

/// How widths are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The better of both.
    Best,
    /// Exact for bytes rounded up to 1/32768 of the budget; time by a multiplier.
    Knapsack,
    /// A population of mixtures, with a fixed seed.
    Genetic,
}

/// What the layers together may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    pub bytes: usize,
    pub micros: f64,
}

/// Steps that bytes are counted in.
const STEPS: usize = 32768;
/// Population, generations, share of parents, probability that a layer mutates (EQ-Net's, fewer
/// generations: a candidate costs nothing here).
const POPULATION: usize = 100;
const GENERATIONS: usize = 200;
const PARENTS: usize = 25;
const MUTATION: f64 = 0.1;

/// The index of the width of each layer with the least sum of losses within the budget; `None` where
/// no mixture fits.
pub fn choose(layers: &[LayerCost], budget: &Budget, search: Search) -> Option<Vec<usize>> {
    match search {
        Search::Best => {
            let found = [knapsack(layers, budget), genetic(layers, budget)].into_iter().flatten();
            found.min_by(|a, b| sums(layers, a).2.total_cmp(&sums(layers, b).2))
        }
        Search::Knapsack => knapsack(layers, budget),
        Search::Genetic => genetic(layers, budget),
    }
}

fn sums(layers: &[LayerCost], widths: &[usize]) -> (usize, f64, f64) {
    layers.iter().zip(widths).fold((0, 0.0, 0.0), |(bytes, micros, loss), (layer, &width)| {
        let cost = &layer.widths[width];
        (bytes + cost.bytes, micros + cost.micros, loss + cost.loss)
    })
}

fn knapsack(layers: &[LayerCost], budget: &Budget) -> Option<Vec<usize>> {
    let fits = |widths: &Vec<usize>| sums(layers, widths).1 <= budget.micros;
    let free = by_bytes(layers, budget.bytes, 0.0)?;
    if fits(&free) {
        return Some(free);
    }
    // The price of a microsecond: doubled until the time fits, then halved towards the least that does.
    let mut price = 1e-9;
    let mut found = None;
    for _ in 0..80 {
        found = by_bytes(layers, budget.bytes, price).filter(fits);
        if found.is_some() {
            break;
        }
        price *= 2.0;
    }
    let mut best = found?;
    let (mut low, mut high) = (price / 2.0, price);
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        match by_bytes(layers, budget.bytes, middle).filter(fits) {
            Some(widths) => {
                if sums(layers, &widths).2 <= sums(layers, &best).2 {
                    best = widths;
                }
                high = middle;
            }
            None => low = middle,
        }
    }
    Some(best)
}

/// The least losses plus `price` times the time, within `bytes`.
fn by_bytes(layers: &[LayerCost], bytes: usize, price: f64) -> Option<Vec<usize>> {
    let most: usize = layers.iter().filter_map(|layer| layer.widths.iter().map(|w| w.bytes).max()).sum();
    let bytes = bytes.min(most);
    let step = (bytes / STEPS).max(1);
    let steps = bytes / step;
    let value = |layer: &LayerCost, width: usize| layer.widths[width].loss + price * layer.widths[width].micros;
    // Where the best width of every layer fits, bytes need not be rounded.
    let least = |layer: &LayerCost| {
        (0..layer.widths.len()).min_by(|&a, &b| value(layer, a).total_cmp(&value(layer, b))).unwrap_or(0)
    };
    let unbounded: Vec<usize> = layers.iter().map(least).collect();
    if sums(layers, &unbounded).0 <= bytes {
        return Some(unbounded);
    }
    // best[b]: the least value of the layers so far within b steps, and their widths' choices.
    let mut best: Vec<f64> = vec![0.0; steps + 1];
    let mut choices: Vec<Vec<u8>> = Vec::with_capacity(layers.len());
    for layer in layers {
        let mut next = vec![f64::INFINITY; steps + 1];
        let mut choice = vec![u8::MAX; steps + 1];
        for (width, cost) in layer.widths.iter().enumerate() {
            let needed = cost.bytes.div_ceil(step);
            for b in needed..=steps {
                let sum = best[b - needed] + value(layer, width);
                if sum < next[b] {
                    (next[b], choice[b]) = (sum, width as u8);
                }
            }
        }
        best = next;
        choices.push(choice);
    }
    let mut at = steps;
    let mut widths = vec![0; layers.len()];
    for (i, layer) in layers.iter().enumerate().rev() {
        let width = choices[i][at];
        if width == u8::MAX {
            return None;
        }
        widths[i] = usize::from(width);
        at -= layer.widths[widths[i]].bytes.div_ceil(step);
    }
    Some(widths)
}

fn genetic(layers: &[LayerCost], budget: &Budget) -> Option<Vec<usize>> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    // A mixture past the budget is worse than any within, the more the further.
    let score = |widths: &Vec<usize>| {
        let (bytes, micros, loss) = sums(layers, widths);
        let over = (bytes as f64 / budget.bytes.max(1) as f64 - 1.0).max(0.0) + (micros / budget.micros - 1.0).max(0.0);
        if over > 0.0 { 1e9 * (1.0 + over) } else { loss }
    };
    let count = |layer: &LayerCost| layer.widths.len();
    let mut population: Vec<Vec<usize>> = (0..POPULATION)
        .map(|i| match i {
            0..4 => layers.iter().map(|layer| i.min(count(layer) - 1)).collect(),
            _ => layers.iter().map(|layer| (random() * count(layer) as f64) as usize).collect(),
        })
        .collect();
    for _ in 0..GENERATIONS {
        population.sort_by(|a, b| score(a).total_cmp(&score(b)));
        population.truncate(PARENTS);
        while population.len() < POPULATION {
            let parent = |random: &mut dyn FnMut() -> f64| (random() * PARENTS as f64) as usize;
            let (a, b) = (parent(&mut random), parent(&mut random));
            let child = (0..layers.len()).map(|i| {
                let from = if random() < 0.5 { a } else { b };
                if random() < MUTATION { (random() * count(&layers[i]) as f64) as usize } else { population[from][i] }
            });
            let child: Vec<usize> = child.collect();
            population.push(child);
        }
    }
    population.sort_by(|a, b| score(a).total_cmp(&score(b)));
    let best = population.swap_remove(0);
    (score(&best) < 1e9).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::super::WidthCost;
    use super::*;

    fn layers(count: usize) -> Vec<LayerCost> {
        let of = |i: usize| {
            let size = 1000 + 377 * (i * 7 % 5);
            let weight = 1.0 + (i * 13 % 7) as f64;
            let width = |name, bits: usize, loss: f64, speed: f64| WidthCost {
                name,
                bytes: size * bits / 8,
                loss: loss * weight,
                micros: size as f64 / speed,
            };
            let widths = vec![
                width("w8", 8, 1e-4, 100.0),
                width("w4", 4, 1e-2, 150.0),
                width("w3", 3, 4e-2, 120.0),
                width("w2", 2, 0.2, 160.0),
            ];
            LayerCost { name: format!("layer{i}"), widths }
        };
        (0..count).map(of).collect()
    }

    /// Every mixture.
    fn brute(layers: &[LayerCost], budget: &Budget) -> Option<f64> {
        let count = 4usize.pow(layers.len() as u32);
        let widths =
            (0..count).map(|code| (0..layers.len()).map(|i| code / 4usize.pow(i as u32) % 4).collect::<Vec<_>>());
        let fitting = widths.map(|w| sums(layers, &w)).filter(|s| s.0 <= budget.bytes && s.1 <= budget.micros);
        fitting.map(|s| s.2).min_by(f64::total_cmp)
    }

    #[test]
    fn the_knapsack_is_within_two_percent_of_the_best_of_all_mixtures_and_fits() {
        let layers = layers(6);
        let all: usize = layers.iter().map(|layer| layer.widths[0].bytes).sum();
        for part in [0.26, 0.3, 0.4, 0.5, 0.7, 0.9, 1.0] {
            let budget = Budget { bytes: (all as f64 * part) as usize, micros: f64::INFINITY };
            let widths = choose(&layers, &budget, Search::Knapsack).expect("fits");
            let (bytes, _, loss) = sums(&layers, &widths);
            let best = brute(&layers, &budget).expect("fits");
            assert!(bytes <= budget.bytes && loss <= best * 1.02 + 1e-12, "{part}: {loss} {best}");
            let (bytes, _, loss) = sums(&layers, &choose(&layers, &budget, Search::Genetic).expect("fits"));
            assert!(bytes <= budget.bytes && loss <= best * 1.2 + 1e-12, "genetic, {part}: {loss} {best}");
        }
    }

    #[test]
    fn time_budgets_are_held_and_nothing_fits_a_budget_too_small() {
        let layers = layers(6);
        let slow: f64 = layers.iter().map(|layer| layer.widths[0].micros).sum();
        for search in [Search::Knapsack, Search::Genetic] {
            let budget = Budget { bytes: usize::MAX, micros: slow * 0.8 };
            let widths = choose(&layers, &budget, search).expect("fits");
            assert!(sums(&layers, &widths).1 <= budget.micros);
            assert_eq!(choose(&layers, &Budget { bytes: 100, micros: f64::INFINITY }, search), None);
            assert_eq!(choose(&layers, &Budget { bytes: usize::MAX, micros: slow * 0.1 }, search), None);
        }
    }
}
