//! A transaction behaves as a sorted map, whatever mixture of stored rows and own changes a scan meets.

use std::{collections::BTreeMap, ops::Bound};

use crate::kit::{PLAIN, Place, SECRET};
use isthmus_store::{Reader, Row, StoreError, Table};
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Scan { from: Bound<Vec<u8>>, to: Bound<Vec<u8>>, limit: usize, reverse: bool },
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few and short keys, so that changes meet rows.
    prop::collection::vec(prop::sample::select(vec![0_u8, 1, 254, 255]), 0..3)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (key(), prop::collection::vec(any::<u8>(), 0..5)).prop_map(|(k, v)| Step::Put(k, v)),
        2 => key().prop_map(Step::Delete),
        2 => (bound(), bound(), 0_usize..6, any::<bool>())
            .prop_map(|(from, to, limit, reverse)| Step::Scan { from, to, limit, reverse }),
    ]
}

fn expected(model: &Model, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>, limit: usize, reverse: bool) -> Vec<Row> {
    let above = |key: &Vec<u8>| match from {
        Bound::Included(low) => key >= low,
        Bound::Excluded(low) => key > low,
        Bound::Unbounded => true,
    };
    let below = |key: &Vec<u8>| match to {
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
        Bound::Unbounded => true,
    };
    let mut rows: Vec<Row> =
        model.iter().filter(|(k, _)| above(k) && below(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if reverse {
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scans_of_a_rule_match_a_sorted_map(rules in prop::collection::vec(prop::collection::vec(step(), 1..30), 1..4), sealed: bool) {
        let table: Table = if sealed { SECRET } else { PLAIN };
        let place = Place::new();
        let store = place.open();
        let mut model = Model::new();
        for rule in rules {
            model = store.write_blocking(move |tx| {
                for step in rule {
                    match step {
                        Step::Put(k, v) => {
                            tx.put(table, &k, &v);
                            model.insert(k, v);
                        }
                        Step::Delete(k) => {
                            tx.delete(table, &k);
                            model.remove(&k);
                        }
                        Step::Scan { from, to, limit, reverse } => {
                            let rows = tx.scan(table, slice(&from), slice(&to), limit, reverse)?;
                            assert_eq!(rows, expected(&model, &from, &to, limit, reverse));
                        }
                    }
                }
                Ok::<_, StoreError>(model)
            }).unwrap();
            let all = store.read(|v| v.scan(table, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)).unwrap();
            prop_assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
