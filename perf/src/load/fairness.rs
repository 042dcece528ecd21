//! How alike the tunnels were treated.

/// Jain's index of what `tunnels` received: 1 if all had the same, 1/n if one had it all.
fn jain(tunnels: &[(u64, u64)]) -> f64 {
    let received = || tunnels.iter().map(|(_, received)| *received as f64);
    let squares: f64 = received().map(|x| x * x).sum();
    received().sum::<f64>().powi(2) / (tunnels.len() as f64 * squares).max(1.0)
}

/// The line about tunnels that send much and those that send little: sent and received of each.
pub(super) fn tell(large: &[(u64, u64)], small: &[(u64, u64)]) -> String {
    let extremes = |of: &[(u64, u64)]| {
        let received = of.iter().map(|(_, received)| *received);
        (received.clone().min().unwrap_or(0), received.max().unwrap_or(0))
    };
    let (least, most) = extremes(large);
    let mut line = format!("fairness jain={:.4} least={least} most={most}", jain(large));
    if !small.is_empty() {
        let (sent, received) = small.iter().fold((0, 0), |(s, r), tunnel| (s + tunnel.0, r + tunnel.1));
        let percent = 100.0 * sent.saturating_sub(received) as f64 / sent.max(1) as f64;
        line += &format!(" small_sent={sent} small_received={received} small_lost_percent={percent:.3}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_is_one_among_equals_and_falls_with_inequality() {
        assert!((jain(&[(9, 5), (9, 5), (9, 5)]) - 1.0).abs() < 1e-9);
        assert!((jain(&[(9, 8), (9, 0), (9, 0), (9, 0)]) - 0.25).abs() < 1e-9);
        assert!(tell(&[(4, 2)], &[(10, 9)]).ends_with("small_sent=10 small_received=9 small_lost_percent=10.000"));
    }
}
