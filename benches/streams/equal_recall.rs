//! What a search costs at equal recall, and how long it takes in turn with another one.

use std::time::Instant;

use drift_benches::{
    ask::Asked,
    stream::{Step, Stream},
    sweep::{Point, cost_at},
};
use drift_engine::{Result, SearchRequest};

use crate::{
    drive::{Truth, ask_step, request},
    home::{Figures, Home},
};

/// Recalls asked, to find the cost at a measured one.
const ASKED: [f32; 9] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.985, 0.995, 0.999];
/// Recalls at which costs are told.
const EQUAL_RECALL: [(f64, &str); 2] = [(0.95, "95"), (0.99, "99")];
/// How often each query is asked in turn; its fastest answer counts.
const TURNS: usize = 5;

/// Cost at equal recall by the stop rule.
pub async fn sweep_recall(
    home: &Home,
    stream: &Stream,
    step: usize,
    truth: &Truth,
    figures: &mut Figures,
) -> Result<()> {
    let mut all = Vec::new();
    for recall in ASKED {
        let request = SearchRequest { recall: Some(recall), ..request() };
        all.push((recall, ask_step(&home.collection, stream, &stream.steps[step], truth, &request).await?));
    }
    for (recall, percent) in EQUAL_RECALL {
        let points = all.iter().map(|(asked, got)| Point { recall: got.recall(), cost: 1.0 - f64::from(*asked) });
        figures.put(format!("asked_at_{percent}"), cost_at(recall, points).map_or(f64::NAN, |missing| 1.0 - missing));
    }
    put_equal_recall(figures, "", all.iter().map(|(_, asked)| asked));
    Ok(())
}

/// Cost at equal recall by a fixed number of buckets.
pub async fn sweep_nprobe(
    home: &Home,
    stream: &Stream,
    step: usize,
    truth: &Truth,
    figures: &mut Figures,
) -> Result<()> {
    let mut all: Vec<Asked> = Vec::new();
    let mut nprobe = 1;
    while all.last().is_none_or(|asked| asked.recall() < 0.99) && nprobe < 2 * home.collection.status().buckets {
        let request = SearchRequest { nprobe: Some(nprobe), ..request() };
        all.push(ask_step(&home.collection, stream, &stream.steps[step], truth, &request).await?);
        nprobe = (nprobe * 3).div_ceil(2);
    }
    put_equal_recall(figures, "nprobe_", all.iter());
    Ok(())
}

fn put_equal_recall<'a>(figures: &mut Figures, how: &str, all: impl Iterator<Item = &'a Asked> + Clone) {
    for (recall, percent) in EQUAL_RECALL {
        let at = |cost: fn(&Asked) -> f64| {
            let points = all.clone().map(|asked| Point { recall: asked.recall(), cost: cost(asked) });
            cost_at(recall, points).unwrap_or(f64::NAN)
        };
        figures.put(format!("{how}rows_at_{percent}"), at(|asked| asked.rows));
        figures.put(format!("{how}p50_us_at_{percent}"), at(|asked| asked.latencies.at_us(0.5)));
    }
}

/// How much longer one collection takes than another for the same queries, asked in turn so that both
/// suffer alike from what else the machine does: by default, and where each asks for what gives it the
/// same recall (as [`sweep_recall`] found it).
pub async fn compare_in_turn(
    (home, figures): (&Home, &mut Figures),
    (other, others): (&Home, &Figures),
    stream: &Stream,
    step: &Step,
) -> Result<()> {
    let asking = |recall: f64| SearchRequest { recall: (!recall.is_nan()).then_some(recall as f32), ..request() };
    let mut requests = vec![("time_over_fresh".to_owned(), request(), request())];
    for (_, percent) in EQUAL_RECALL {
        let name = format!("asked_at_{percent}");
        let (recall, others) = (figures.get(&name), others.get(&name));
        if !recall.is_nan() && !others.is_nan() {
            requests.push((format!("time_over_fresh_at_{percent}"), asking(recall), asking(others)));
        }
    }
    for (name, request, others) in requests {
        let mut best = vec![[f64::INFINITY; 2]; step.queries.len()];
        for _ in 0..TURNS {
            for (&query, best) in step.queries.iter().zip(&mut best) {
                for (best, (home, request)) in best.iter_mut().zip([(home, &request), (other, &others)]) {
                    let query = stream.queries.view().row(query as usize).to_vec();
                    let start = Instant::now();
                    home.collection.search(SearchRequest { query, ..request.clone() }).await?;
                    *best = best.min(start.elapsed().as_secs_f64());
                }
            }
        }
        let sum = |which: usize| best.iter().map(|best| best[which]).sum::<f64>();
        figures.put(name, sum(0) / sum(1));
    }
    Ok(())
}
