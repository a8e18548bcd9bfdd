/* The headers `cargo xtask bindgen` reads; the allowlist in xtask decides what is kept. */
#include <linux/version.h>
#include <linux/netlink.h>
#include <linux/connector.h>
#include <linux/cn_proc.h>
#include <linux/filter.h>
#include <linux/bpf.h>
#include <linux/sock_diag.h>
