//! Serves the pages of a made-up hospital, to look at them: `cargo run -p feedpulse-web --example
//! pages -- [quiet|stale]` prints the address. With `FEEDPULSE_UI_TOKEN` set, they need it.

use feedpulse_core::key::SiteKey;
use feedpulse_web::{ServeLimits, Token, UiConfig, bind, serve, ui};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[path = "../src/tests/fixture.rs"]
#[expect(dead_code, unreachable_pub, clippy::unwrap_used, reason = "the tests use it too")]
mod fixture;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let what = std::env::args().nth(1).unwrap_or_default();
    let mut view = if what == "quiet" { fixture::quiet() } else { fixture::trouble() };
    if what == "stale" {
        view.now = fixture::NOW.minus(Duration::from_secs(75));
    }
    let token = std::env::var("FEEDPULSE_UI_TOKEN").ok();
    let token = token.as_deref().map(Token::new).transpose()?;
    let listener = bind("ui", std::net::SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let local = listener.local_addr()?;
    let config = UiConfig::new(local, token, SiteKey::new(*b"an example's key"))?;
    let source: Arc<dyn feedpulse_web::Source> =
        fixture::Fixture::with_checks(view, fixture::checks());
    println!("http://{local}/");
    serve(listener, ui(&config, local, source), ServeLimits::default(), CancellationToken::new())
        .await;
    Ok(())
}
