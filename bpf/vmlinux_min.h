// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// The kernel's types, as far as the sensor reads them. Only names and types of the fields matter: when the object is loaded,
// libbpf looks every field up in the running kernel's BTF and corrects its offset. A struct with a suffix after three
// underscores is another kernel version's shape of the same struct. Written by hand so that building needs no kernel of a
// particular version, or any.

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
enum { false = 0, true = 1 };
#define NULL ((void *)0)

enum bpf_map_type {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PROG_ARRAY = 3,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_LRU_HASH = 9,
  BPF_MAP_TYPE_RINGBUF = 27,
};
enum bpf_func_id {
  BPF_FUNC_get_current_task_btf = 158,
  BPF_FUNC_task_pt_regs = 175,
};
enum {
  BPF_ANY = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
  u64 regs[31];
  u64 sp, pc, pstate;
};
struct pt_regs {
  struct user_pt_regs user_regs;
  u64 orig_x0;
  s32 syscallno;
};
#endif

struct list_head {
  struct list_head *next, *prev;
};
typedef struct {
  int counter;
} atomic_t;
typedef struct {
  s64 counter;
} atomic64_t;
typedef struct {
  u32 val;
} kuid_t;
typedef struct {
  u32 val;
} kgid_t;
typedef u32 dev_t;

struct super_block {
  dev_t s_dev;
  unsigned long s_flags;
  unsigned long s_magic;
};
struct timespec64 {
  s64 tv_sec;
  long tv_nsec;
};
struct inode {
  u16 i_mode;
  kuid_t i_uid;
  kgid_t i_gid;
  unsigned int i_flags;
  struct super_block *i_sb;
  unsigned long i_ino;
  s64 i_mtime_sec, i_ctime_sec;
  u32 i_mtime_nsec, i_ctime_nsec;
};
struct inode___before_6_11 {
  struct timespec64 i_mtime, __i_mtime;  // the underscores came in 6.7, for ctime in 6.6
  struct timespec64 i_ctime, __i_ctime;
};
struct qstr {
  u32 hash;
  u32 len;
  const unsigned char *name;
};
struct dentry {
  struct dentry *d_parent;
  struct qstr d_name;
  struct inode *d_inode;
};
struct vfsmount {
  struct dentry *mnt_root;
};
struct mount {
  struct mount *mnt_parent;
  struct dentry *mnt_mountpoint;
  struct vfsmount mnt;
};
struct path {
  struct vfsmount *mnt;
  struct dentry *dentry;
};
struct file {
  unsigned int f_mode;
  unsigned int f_flags;
  void *private_data;
  struct inode *f_inode;
  struct path f_path;
};
struct fdtable {
  unsigned int max_fds;
  struct file **fd;
};
struct files_struct {
  atomic_t count;
  struct fdtable *fdt;
};
struct fs_struct {
  struct path root, pwd;
};

struct upid {
  int nr;
  struct pid_namespace *ns;
};
struct pid_namespace {
  struct task_struct *child_reaper;
  unsigned int level;
};
struct pid {
  unsigned int level;
  struct upid numbers[1];
};
struct rlimit {
  unsigned long rlim_cur, rlim_max;
};
struct tty_driver {
  int major, minor_start;
};
struct tty_struct {
  int index;
  struct tty_driver *driver;
};
struct signal_struct {
  atomic_t live;
  struct list_head thread_head;
  unsigned int is_child_subreaper : 1;
  unsigned int has_child_subreaper : 1;
  struct pid *pids[4];
  struct tty_struct *tty;
  struct rlimit rlim[16];
};
typedef struct {
  u64 val;
} kernel_cap_t;
struct cred {
  kuid_t euid;
  kgid_t egid;
  kuid_t fsuid;
  kgid_t fsgid;
  kernel_cap_t cap_inheritable, cap_permitted, cap_effective;
};
struct percpu_counter {
  s64 count;
};
struct mm_struct {
  unsigned long total_vm;
  unsigned long arg_start, arg_end, env_start, env_end;
  struct percpu_counter rss_stat[4];
  struct file *exe_file;
};
struct mm_rss_stat {
  atomic64_t count[4];
};
struct mm_struct___before_6_2 {
  struct mm_rss_stat rss_stat;
};
struct kernfs_node {
  struct kernfs_node *__parent;
  const char *name;
  u64 id;
};
struct kernfs_node___before_6_15 {
  struct kernfs_node *parent;
};
struct cgroup_subsys_state {
  struct cgroup *cgroup;
  struct cgroup_subsys_state *parent;
};
struct cgroup {
  struct cgroup_subsys_state self;
  struct kernfs_node *kn;
};
struct css_set {
  struct cgroup_subsys_state *subsys[1];
  struct cgroup *dfl_cgrp;
};
struct nsproxy {
  void *uts_ns, *ipc_ns, *mnt_ns, *net_ns, *cgroup_ns;
  struct pid_namespace *pid_ns_for_children;
};
struct thread_info {
  unsigned long flags;
  u32 status;
};
struct task_struct {
  struct thread_info thread_info;
  unsigned int flags;
  int exit_code;
  int pid, tgid;
  struct task_struct *real_parent, *group_leader;
  struct list_head children, sibling, thread_node;
  struct pid *thread_pid;
  void *vfork_done;
  u64 start_time, start_boottime;
  unsigned long maj_flt, min_flt;
  struct cred *real_cred, *cred;
  char comm[16];
  struct fs_struct *fs;
  struct files_struct *files;
  struct nsproxy *nsproxy;
  struct signal_struct *signal;
  void *sighand;
  kuid_t loginuid;
  struct css_set *cgroups;
  struct mm_struct *mm;
  struct io_uring_task *io_uring;
};
struct linux_binprm {
  const char *filename, *fdpath;
};

struct in6_addr {
  u8 s6_addr[16];
};
struct proto;
struct sock_common {
  __be32 skc_daddr, skc_rcv_saddr;
  __be16 skc_dport;
  u16 skc_num;
  u16 skc_family;
  u8 skc_state;
  struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};
struct sock {
  struct sock_common __sk_common;
  u32 sk_ack_backlog, sk_max_ack_backlog;
};
struct inet_sock {
  __be32 inet_saddr;
  __be16 inet_sport;
};
struct socket {
  struct sock *sk;
};
struct sockaddr_un {
  u16 sun_family;
  char sun_path[108];
};
struct unix_address {
  int len;
  struct sockaddr_un name[1];
};
struct unix_sock {
  struct unix_address *addr;
  struct sock *peer;
};

#pragma clang attribute pop

enum cgroup_subsys_id {
  cpuset_cgrp_id,
  cpu_cgrp_id,
  cpuacct_cgrp_id,
  io_cgrp_id,
  memory_cgrp_id,
  devices_cgrp_id,
  freezer_cgrp_id,
  pids_cgrp_id,
};
enum pid_type {
  PIDTYPE_PID,
  PIDTYPE_TGID,
  PIDTYPE_PGID,
  PIDTYPE_SID,
};
