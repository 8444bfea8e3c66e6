//! The second stage: may this account do that?

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::{ACCOUNTS, INSTRUMENTS, Order, Reject, Side};

/// The scenarios that one exposure check walks through, for each percent of its cost: 4 x 100 of them without `--regress`.
const SCENARIOS_PER_PERCENT: u32 = 4;
/// The portfolio revaluations of one slow check: about a hundred times the cost of a normal one.
const REVALUATIONS: u32 = 1500;
/// The net position at which an account is at its limit.
const POSITION_LIMIT: i64 = 1_500;
const EXPOSURE_LIMIT: u64 = 1 << 40;
const MARGIN_LIMIT: f64 = 1.0e12;
const VELOCITY_WINDOW: usize = 256;
/// An order number that is long ago for every other.
const NEVER: u64 = u64::MAX / 2;

/// The number of scenarios of one exposure check. It grows in exact proportion, so that `--regress 15` makes the function
/// 15 % slower and no other.
pub fn scenarios(regress_percent: i32) -> u32 {
    SCENARIOS_PER_PERCENT * (100 + regress_percent).max(1) as u32
}

struct Account {
    positions: [i64; INSTRUMENTS],
    /// The numbers of the last orders, as a clock that does not depend on the machine's speed.
    recent: [u64; VELOCITY_WINDOW],
    cursor: usize,
}

pub struct Risk {
    // The hasher is std's own SipHash, as in much real code, but with fixed keys: the layout is the same in every run.
    accounts: HashMap<u32, Account, BuildHasherDefault<DefaultHasher>>,
    scenarios: u32,
}

impl Risk {
    pub fn new(regress_percent: i32) -> Self {
        let account = || Account { positions: [0; INSTRUMENTS], recent: [NEVER; VELOCITY_WINDOW], cursor: 0 };
        Self {
            accounts: (0..ACCOUNTS as u32).map(|id| (id, account())).collect(),
            scenarios: scenarios(regress_percent),
        }
    }

    /// All the checks of one order. `slow` takes the path that makes the tail: a revaluation of the whole portfolio.
    #[inline(never)]
    pub fn check_risk(&mut self, order: &Order, slow: bool) -> Result<(), Reject> {
        let scenarios = self.scenarios;
        let account = self.accounts.get_mut(&order.account).ok_or(Reject::BadField)?;
        check_velocity(account, order.id)?;
        check_exposure(account, order, scenarios)?;
        let margin = if slow { recheck_margin(account, order) } else { compute_margin(account, order.price as f64) };
        if margin > MARGIN_LIMIT { Err(Reject::Margin) } else { Ok(()) }
    }

    /// Books an execution. Positions are netted at the limit, so that they stay bounded in a run of any length.
    #[inline(always)]
    pub fn apply_fill(&mut self, order: &Order, quantity: u32) {
        if let Some(account) = self.accounts.get_mut(&order.account) {
            let signed = if order.side == Side::Buy { i64::from(quantity) } else { -i64::from(quantity) };
            let position = &mut account.positions[usize::from(order.instrument) % INSTRUMENTS];
            *position = (*position + signed).clamp(-POSITION_LIMIT, POSITION_LIMIT);
        }
    }
}

/// At most so many orders of one account in so short a time, counted in orders of all accounts.
#[inline(never)]
fn check_velocity(account: &mut Account, now: u64) -> Result<(), Reject> {
    account.recent[account.cursor] = now;
    account.cursor = (account.cursor + 1) % VELOCITY_WINDOW;
    let burst = account.recent.iter().filter(|then| now.wrapping_sub(**then) < 128).count();
    if burst > 24 { Err(Reject::Velocity) } else { Ok(()) }
}

/// The worst loss of the account over pseudo-random price scenarios. This is the function that `--regress` makes slower:
/// its cost is its scenario count, one dependent multiplication after the other, and nothing in it depends on the data.
#[inline(never)]
fn check_exposure(account: &Account, order: &Order, scenarios: u32) -> Result<(), Reject> {
    let mut shock = u64::from(order.quantity) | 1;
    let mut worst = 0;
    for scenario in 0..scenarios as usize {
        shock = (shock ^ (shock >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let position = account.positions[scenario % INSTRUMENTS].unsigned_abs();
        worst = worst.max(position * (shock >> 40));
    }
    if worst > EXPOSURE_LIMIT { Err(Reject::Exposure) } else { Ok(()) }
}

/// Tiered margin over all positions, at a given price.
#[inline(never)]
fn compute_margin(account: &Account, price: f64) -> f64 {
    let mut margin = 0.0;
    for position in account.positions {
        let size = position.unsigned_abs() as f64;
        let tier = if size > 1_000.0 { 0.08 } else { 0.04 };
        margin += size * price * tier;
    }
    margin
}

/// The slow path of `--slow-path`: the margin again, at many prices around the order's own.
#[inline(never)]
fn recheck_margin(account: &Account, order: &Order) -> f64 {
    let mut worst = 0.0f64;
    for step in 0..REVALUATIONS {
        let price = order.price as f64 * (1.0 + f64::from(step) * 1.0e-6);
        worst = worst.max(compute_margin(account, price));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::OrderFlow;

    #[test]
    fn regress_scales_the_scenarios_exactly() {
        assert_eq!(scenarios(0), 400);
        assert_eq!(scenarios(15), 460);
        assert_eq!(scenarios(-50), 200);
        assert_eq!(scenarios(100), 2 * scenarios(0));
        assert_eq!(Risk::new(15).scenarios, 460);
    }

    #[test]
    fn the_slow_path_comes_to_the_same_answer() {
        let mut risk = Risk::new(0);
        let mut flow = OrderFlow::new(9);
        for _ in 0..2_000 {
            let order = flow.next_order();
            risk.apply_fill(&order, order.quantity);
            assert_eq!(risk.check_risk(&order, false), Ok(()));
            assert_eq!(risk.check_risk(&order, true), Ok(()));
        }
    }

    #[test]
    fn a_burst_of_one_account_is_refused() {
        let mut risk = Risk::new(0);
        let order = OrderFlow::new(2).next_order();
        let verdicts: Vec<_> = (1_000..1_030).map(|id| risk.check_risk(&Order { id, ..order }, false)).collect();
        assert_eq!(verdicts[23], Ok(()));
        assert_eq!(verdicts[24], Err(Reject::Velocity));
    }
}
