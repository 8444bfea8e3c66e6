//! The first stage: is this an order at all?

use crate::{ACCOUNTS, INSTRUMENTS, Order, REFERENCE_PRICE, Reject, Side};

#[inline(never)]
pub fn validate_order(order: &Order, reference_price: f64, collar: f64) -> Result<(), Reject> {
    check_fields(order)?;
    check_reference(order)?;
    if checksum(order) != order.checksum {
        return Err(Reject::BadChecksum);
    }
    check_price_collar(order, reference_price, collar)
}

#[inline(always)]
fn check_fields(order: &Order) -> Result<(), Reject> {
    let known = (order.account as usize) < ACCOUNTS && usize::from(order.instrument) < INSTRUMENTS;
    let sized = (1..=10_000).contains(&order.quantity) && (1..2 * REFERENCE_PRICE).contains(&order.price);
    if known && sized { Ok(()) } else { Err(Reject::BadField) }
}

/// Letters and digits only, and none of them four times in a row: such a reference is a client's uninitialised buffer.
#[inline(never)]
fn check_reference(order: &Order) -> Result<(), Reject> {
    let (mut last, mut run) = (0, 0);
    for letter in order.reference {
        if !(letter.is_ascii_uppercase() || letter.is_ascii_digit()) {
            return Err(Reject::BadReference);
        }
        run = if letter == last { run + 1 } else { 0 };
        last = letter;
        if run == 3 {
            return Err(Reject::BadReference);
        }
    }
    Ok(())
}

#[inline(never)]
fn check_price_collar(order: &Order, reference_price: f64, collar: f64) -> Result<(), Reject> {
    let distance = match order.side {
        Side::Buy => order.price as f64 - reference_price,
        Side::Sell => reference_price - order.price as f64,
    };
    if distance / reference_price <= collar { Ok(()) } else { Err(Reject::PriceCollar) }
}

/// CRC-32 (IEEE) of the order's fields, a table look-up for each byte.
#[inline(never)]
pub fn checksum(order: &Order) -> u32 {
    let mut crc = u32::MAX;
    crc = crc_bytes(crc, &order.id.to_le_bytes());
    crc = crc_bytes(crc, &order.price.to_le_bytes());
    crc = crc_bytes(crc, &order.quantity.to_le_bytes());
    crc = crc_bytes(crc, &order.account.to_le_bytes());
    crc = crc_bytes(crc, &order.reference);
    !crc
}

#[inline(always)]
fn crc_bytes(mut crc: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        crc = CRC_TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize] ^ (crc >> 8);
    }
    crc
}

static CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::OrderFlow;

    #[test]
    fn crc_agrees_with_the_standard() {
        assert_eq!(!crc_bytes(u32::MAX, b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn each_fault_has_its_own_reject() {
        let price = REFERENCE_PRICE as f64;
        let mut flow = OrderFlow::new(1);
        let mut order = flow.next_order();
        order.checksum = checksum(&order);
        assert_eq!(validate_order(&order, price, 0.01), Ok(()));

        let broken = Order { checksum: order.checksum ^ 1, ..order };
        assert_eq!(validate_order(&broken, price, 0.01), Err(Reject::BadChecksum));
        let unknown = Order { account: ACCOUNTS as u32, ..order };
        assert_eq!(validate_order(&unknown, price, 0.01), Err(Reject::BadField));
        let blank = Order { reference: [b'A'; 24], ..order };
        assert_eq!(validate_order(&blank, price, 0.01), Err(Reject::BadReference));
        let mut far = Order { side: Side::Buy, price: REFERENCE_PRICE * 3 / 2, ..order };
        far.checksum = checksum(&far);
        assert_eq!(validate_order(&far, price, 0.01), Err(Reject::PriceCollar));
    }
}
