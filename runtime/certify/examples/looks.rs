//! Prints `src/looks/tables.rs`: the look tables that are shipped.

use selvedge_certify::{Alpha, GRID, LookTable};
use selvedge_noise::normal;

fn main() {
    let alpha = Alpha::ratio(1, 1000).expect("a probability");
    let targets = [1u32, 2, 3, 4, 5, 6, 8, 10, 12];
    println!(
        "//! Look tables for r/σ in quarters at α = 1/1000, printed by `examples/looks.rs`; tests prove every row.\n"
    );
    println!("use super::{{LookTable, NEVER}};\n");
    print!("/// Draws at which the shipped tables look.\npub static GRID: [u32; 36] =");
    row(&GRID);
    print!("\n/// The tables by r/σ in quarters.\npub static SHIPPED: [(u32, LookTable<'static>); 9] = [");
    for quarters in targets {
        // Above what finite precision costs at any size of input that fits a table (τ < 10⁻¹¹).
        let p0 = normal::cdf_upper(f64::from(quarters) / 4.0) + 1e-10;
        let (mut accept, mut refuse) = ([0; 36], [0; 36]);
        let table = LookTable::build(p0, &alpha, &GRID, &mut accept, &mut refuse).expect("looks rise");
        print!("({quarters}, LookTable {{ p0: {p0:?}, alpha: {}, samples: &GRID, accept: &", alpha.units());
        row(table.accept());
        print!(", refuse: &");
        row(table.refuse());
        print!("}}),");
    }
    println!("];");
}

fn row(values: &[u32]) {
    print!("[");
    values.iter().for_each(|value| match *value {
        u32::MAX => print!("NEVER,"),
        value => print!("{value},"),
    });
    print!("]");
    if values == GRID {
        println!(";");
    }
}
