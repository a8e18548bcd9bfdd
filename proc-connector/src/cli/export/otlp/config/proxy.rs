//! Proxies: only those that the environment names, with the rules of `curl`.

use ureq::Proxy;

use super::setting::BadSetting;
use super::url::Url;
use super::variables::Variables;

/// Finds the proxy for a URL. A receiver on this machine is never reached through a proxy.
pub(super) fn find(url: &Url, variables: &Variables) -> Result<Option<Proxy>, BadSetting> {
    if is_loopback(url.host()) {
        return Ok(None);
    }
    // A CGI program would get HTTP_PROXY from a header of its request, so curl reads only `http_proxy`.
    let names: &[&str] = if url.is_encrypted() {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    for name in names {
        let Some(value) = variables.value(name)? else { continue };
        if is_excepted(url.host(), variables)? {
            return Ok(None);
        }
        let proxy = Proxy::new(&value).map_err(|_| bad(name))?;
        if !matches!(proxy.uri().scheme_str(), None | Some("http" | "https")) {
            return Err(bad(name));
        }
        return Ok(Some(proxy));
    }
    Ok(None)
}

fn bad(name: &str) -> BadSetting {
    let problem = "the value is not the URL of a supported proxy: write http:// or https://, a host, and \
                   a port, or unset the variable";
    BadSetting::new(name, problem)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `no_proxy` names a host, or a domain that contains it.
fn is_excepted(host: &str, variables: &Variables) -> Result<bool, BadSetting> {
    let list = match variables.value("no_proxy")? {
        Some(list) => Some(list),
        None => variables.value("NO_PROXY")?,
    };
    let host = host.to_ascii_lowercase();
    Ok(list.is_some_and(|list| {
        list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
            let entry = entry.to_ascii_lowercase();
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            entry == "*"
                || host == domain
                || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        })
    }))
}
