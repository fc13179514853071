//! `token`: makes a token, and what the configuration knows of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::TenantId;
use sha2::{Digest, Sha256};
use sql::postgres::Verifier;

use crate::cli::TokenArgs;
use crate::environment;
use crate::failure::Failure;

/// Prints the token, and a section for the configuration.
///
/// # Errors
/// A tenant that cannot be, or a token that clients could not send.
pub(crate) fn run(args: &TokenArgs) -> Result<(), Failure> {
    for tenant in args.tenants.iter().filter(|tenant| *tenant != "*") {
        TenantId::parse(tenant).map_err(|e| Failure::usage(format!("--tenant: {e}")))?;
    }
    let token = match args.stdin {
        true => given()?,
        false => URL_SAFE_NO_PAD.encode(random::<32>()),
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    if !args.stdin {
        println!("# The token is {token} and stands nowhere else.");
    }
    println!("[[auth.tokens]]");
    println!("sha256 = {}", quoted(&hex::encode(Sha256::digest(token.as_bytes()))));
    println!("tenants = [{}]", args.tenants.iter().map(|tenant| quoted(tenant)).collect::<Vec<_>>().join(", "));
    if let Some(user) = &args.user {
        println!("user = {}", quoted(user));
        println!("scram = {}", quoted(&Verifier::of_password(&token, random::<16>()).to_string()));
    }
    Ok(())
}

/// The token on standard input, without the end of its line.
fn given() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|e| Failure::usage(format!("cannot read standard input: {e}")))?;
    let token = line.trim_end_matches(['\r', '\n']);
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token.to_owned()),
        false => Err(Failure::usage("a token is one line of letters, digits and signs of ASCII, without spaces")),
    }
}

/// Random bytes, a multiple of eight.
fn random<const N: usize>() -> [u8; N] {
    let entropy = environment::system().entropy;
    let mut bytes = [0; N];
    bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&entropy.next_u64().to_le_bytes()));
    bytes
}
