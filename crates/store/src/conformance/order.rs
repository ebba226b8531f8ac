use std::cell::RefCell;

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;
use crate::{DeliveryFilter, DeliveryState, Store};

const ENDPOINTS: [&str; 2] = ["crm", "chat"];

#[derive(Clone, Debug)]
enum Step {
    /// Something happens to the broadcast of this number; both endpoints are told.
    Post(u8),
    /// The first delivery due to this endpoint is tried.
    Send { endpoint: usize, outcome: DeliveryState },
    /// The delivery at this place in the log is asked for again.
    Retry(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(DeliveryState::Delivered),
        Just(DeliveryState::Pending),
        Just(DeliveryState::GaveUp)
    ];
    prop_oneof![
        3 => (0..3_u8).prop_map(Step::Post),
        5 => (0..2_usize, outcome).prop_map(|(endpoint, outcome)| Step::Send { endpoint, outcome }),
        1 => (0..20_usize).prop_map(Step::Retry),
    ]
}

/// Random events, attempts and retries: of each endpoint and broadcast, what was not asked for again arrives in order;
/// and in the end, when everything is answered with 200, nothing is left waiting.
pub(crate) fn no_history_of_deliveries_breaks_the_order_or_forgets_one(store: &mut impl Store) {
    let store = RefCell::new(store);
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let round = RefCell::new(0);
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 1..40), |steps| {
        *round.borrow_mut() += 1;
        // Every case has broadcasts of its own; those of the cases before it are all delivered.
        run(&mut **store.borrow_mut(), &steps, *round.borrow())
    });
    result.unwrap();
}

fn run(store: &mut impl Store, steps: &[Step], round: u32) -> Result<(), TestCaseError> {
    let mut seconds = 0;
    let mut retried = Vec::new();
    let mut arrived = Vec::new();
    let newest = DeliveryFilter { limit: 20, ..DeliveryFilter::default() };
    let mut steps: Vec<_> = steps.to_vec();
    for (n, step) in steps.drain(..).enumerate() {
        seconds += 1;
        match step {
            Step::Post(broadcast) => {
                let id = format!("{round}-{n}");
                let about = format!("{round}-{broadcast}");
                let event = NewNotice { at: at(seconds), ..notice(&id, Some(&about), &ENDPOINTS) };
                store.post(&[event]).unwrap();
            }
            Step::Send { endpoint, outcome } => {
                let Some(sent) = store.due(ENDPOINTS[endpoint], at(seconds), 1).unwrap().pop() else {
                    continue;
                };
                match outcome {
                    DeliveryState::Delivered => {
                        store.delivered(sent.id, &answered(200, seconds)).unwrap();
                        arrived.push(sent);
                    }
                    DeliveryState::Pending => {
                        store.failed(sent.id, &answered(500, seconds), at(seconds + 3)).unwrap();
                    }
                    DeliveryState::GaveUp => store.give_up(sent.id, &answered(500, seconds)).unwrap(),
                }
            }
            Step::Retry(place) => {
                let log = store.deliveries(&newest).unwrap().items;
                if let Some(delivery) = log.get(place) {
                    store.retry(delivery.id, at(seconds)).unwrap();
                    retried.push(delivery.id);
                }
            }
        }
    }
    for endpoint in ENDPOINTS {
        loop {
            seconds += 10;
            let due = store.due(endpoint, at(seconds), 100).unwrap();
            if due.is_empty() {
                break;
            }
            for delivery in due {
                store.delivered(delivery.id, &answered(200, seconds)).unwrap();
                arrived.push(delivery);
            }
        }
    }
    let waiting = DeliveryFilter { state: Some(DeliveryState::Pending), ..DeliveryFilter::default() };
    prop_assert_eq!(store.deliveries(&waiting).unwrap().items, []);
    arrived.retain(|delivery| !retried.contains(&delivery.id));
    for endpoint in ENDPOINTS {
        for broadcast in 0..3 {
            let about = Some(format!("{round}-{broadcast}").parse().unwrap());
            let order: Vec<_> = arrived
                .iter()
                .filter(|delivery| delivery.endpoint == endpoint && delivery.notice.broadcast == about)
                .map(|delivery| delivery.notice.sequence)
                .collect();
            prop_assert!(order.is_sorted_by(|a, b| a < b), "{endpoint}, {about:?}: {order:?}");
        }
    }
    Ok(())
}
