use std::sync::{Arc, LazyLock};

use drift_memtable::{Graph, L0Stats, Memtable};
use drift_types::{Metric, TopK};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::data::{METRICS, append, clustered, exact, found, into_index_space, rng, uniform};

/// So long that a graph pays at few rows.
const DIM: usize = 8192;
const ROWS: usize = 1300;
const K: usize = 10;

/// The rows of the tail behind the graph.
const TAIL_ROWS: usize = 350;

/// A stream that begins with 300 equal rows and then arrives cluster by cluster, in two chunks
/// with one graph, and a short tail behind it.
fn graph_and_tail(metric: Metric) -> Memtable {
    let mut rng = rng(7);
    let mut data = clustered(&mut rng, ROWS, DIM, 100, 1.0);
    let (first, rest) = data.split_at_mut(DIM);
    rest[..299 * DIM].chunks_exact_mut(DIM).for_each(|row| row.copy_from_slice(first));
    into_index_space(metric, &mut data, DIM);
    let (one, other) = data.split_at(1000 * DIM);
    let memtable = append(&append(&Memtable::new(DIM, metric), one, DIM, 1), other, DIM, 2);
    assert_eq!(memtable.chunks().count(), 2);
    let memtable = with_graph_of_everything(&memtable);
    let mut tail = clustered(&mut rng, TAIL_ROWS, DIM, 100, 1.0);
    into_index_space(metric, &mut tail, DIM);
    append(&memtable, &tail, DIM, 3)
}

/// Built once: several tests read it.
static L2: LazyLock<Memtable> = LazyLock::new(|| graph_and_tail(Metric::L2));

fn with_graph_of_everything(memtable: &Memtable) -> Memtable {
    memtable.with_graph(Arc::new(whole_graph(memtable)))
}

fn whole_graph(memtable: &Memtable) -> Graph {
    memtable.build_graph(0..memtable.len() as u32)
}

fn query_near(rng: &mut ChaCha8Rng, memtable: &Memtable) -> Vec<f32> {
    let row = memtable.row(rng.random_range(0..memtable.len() as u32));
    row.iter().zip(uniform(rng, DIM)).map(|(x, noise)| x + 0.01 * noise).collect()
}

fn search(memtable: &Memtable, query: &[f32], selective: bool, live: &dyn Fn(u32) -> bool) -> L0Stats {
    memtable.search(query, K, 64, selective, live, &mut TopK::new(K))
}

#[test]
fn a_graph_finds_what_the_scan_finds() {
    for metric in METRICS {
        let memtable = if metric == Metric::L2 { L2.clone() } else { graph_and_tail(metric) };
        let mut rng = rng(8);
        let (mut right, mut asked) = (0, 0);
        for _ in 0..100 {
            let query = query_near(&mut rng, &memtable);
            let stats = search(&memtable, &query, false, &|_| true);
            assert_eq!((stats.graphs_searched, stats.rows_scanned), (1, TAIL_ROWS));
            assert!(stats.recall >= 0.95 && stats.recall <= 1.0);
            let truth = exact(&memtable, &query, K, &|_| true);
            let hits = found(&memtable, &query, K, &|_| true);
            right += hits.iter().filter(|hit| truth.contains(hit)).count();
            asked += truth.len();
        }
        assert!(right * 100 >= asked * 97, "{metric}: {right} of {asked}");
    }
}

#[test]
fn every_row_is_reachable_however_the_stream_was_ordered() {
    let lost = (0..L2.len() as u32)
        .step_by(3)
        .filter(|&ordinal| found(&L2, L2.row(ordinal), 1, &|_| true)[0].score > 0.0)
        .count();
    assert!(lost <= 3, "{lost} rows do not find themselves");
}

#[test]
fn dead_rows_and_filters_cause_no_shortage() {
    let (memtable, mut rng) = (&*L2, rng(9));
    let few_live = |ordinal: u32| ordinal.is_multiple_of(100);
    for _ in 0..20 {
        let query = query_near(&mut rng, memtable);
        let (hits, truth) = (found(memtable, &query, K, &few_live), exact(memtable, &query, K, &few_live));
        assert_eq!(hits, truth);
        assert_eq!(search(memtable, &query, false, &few_live).graphs_searched, 0);
        let stats = search(memtable, &query, true, &|_| true);
        assert_eq!((stats.graphs_searched, stats.recall), (0, 1.0));
    }
}

#[test]
fn equal_rows_are_one_node_and_the_smallest_keys_win() {
    let memtable = append(&Memtable::new(DIM, Metric::L2), &vec![0.25; ROWS * DIM], DIM, 1);
    let memtable = with_graph_of_everything(&memtable);
    let query = vec![0.5; DIM];
    let live = |ordinal: u32| ordinal.is_multiple_of(2);
    assert_eq!(search(&memtable, &query, false, &live).graphs_searched, 1);
    assert_eq!(found(&memtable, &query, K, &live), exact(&memtable, &query, K, &live));
}

#[test]
fn clusters_that_arrive_one_by_one_are_shuffled() {
    let data = clustered(&mut rng(10), 6400, 32, 400, 0.02);
    let graph = whole_graph(&append(&Memtable::new(32, Metric::L2), &data, 32, 1));
    assert!(graph.recall() >= 0.95 && graph.bytes() > 0, "recall {}", graph.recall());
}

#[test]
fn a_graph_that_misses_too_much_is_given_up() {
    let noise = uniform(&mut rng(6), 4000 * 256);
    let memtable = append(&Memtable::new(256, Metric::InnerProduct), &noise, 256, 1);
    let graph = whole_graph(&memtable);
    assert!(graph.recall() < 0.95 && graph.bytes() == 0, "recall {}", graph.recall());
}

#[test]
fn the_same_rows_give_the_same_graph() {
    let (mut twin, mut rng) = (Memtable::new(DIM, Metric::L2), rng(5));
    for chunk in L2.chunks() {
        if chunk.first as usize == ROWS {
            twin = with_graph_of_everything(&twin);
        }
        twin = twin.append(chunk.rows, chunk.ids, chunk.seqs[0]);
    }
    for _ in 0..50 {
        let query = query_near(&mut rng, &L2);
        assert_eq!(search(&twin, &query, false, &|_| true), search(&L2, &query, false, &|_| true));
        assert_eq!(found(&twin, &query, K, &|_| true), found(&L2, &query, K, &|_| true));
    }
}

#[test]
fn a_second_graph_of_the_same_range_is_left_out() {
    let data = uniform(&mut rng(3), 500 * 8);
    let memtable = append(&Memtable::new(8, Metric::L2), &data, 8, 1);
    let sealed = with_graph_of_everything(&memtable);
    let twice = sealed.with_graph(Arc::new(whole_graph(&memtable)));
    assert_eq!(sealed.bytes(), twice.bytes());
    assert!(sealed.bytes() > memtable.bytes());
}

#[test]
#[should_panic(expected = "the graph of another memtable")]
fn a_graph_of_other_rows_is_refused() {
    let empty = Memtable::new(8, Metric::L2);
    let [one, other] = [1, 2].map(|seed| append(&empty, &uniform(&mut rng(seed), 500 * 8), 8, 1));
    one.with_graph(Arc::new(whole_graph(&other)));
}

#[test]
fn values_near_the_largest_float_do_not_break_the_graph() {
    for metric in [Metric::L2, Metric::InnerProduct] {
        let mut data = uniform(&mut rng(4), 300 * 16);
        data[100 * 16..].iter_mut().for_each(|x| *x *= 3e38);
        let memtable = with_graph_of_everything(&append(&Memtable::new(16, metric), &data, 16, 1));
        assert_eq!(found(&memtable, &data[..16], K, &|_| true).len(), K);
    }
}
