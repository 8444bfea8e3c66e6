"""What strace's calls are about: which take a descriptor first, which a path, which make or name processes."""

from __future__ import annotations

_NO_FD = """
alarm arch_prctl brk clock_adjtime clock_getres clock_gettime clock_nanosleep clock_settime clone clone3 exit
exit_group futex get_robust_list getcpu getegid geteuid getgid getgroups getitimer getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid gettimeofday getuid ioprio_get
ioprio_set iopl ioperm io_destroy io_getevents io_setup io_submit ipc kill membarrier memfd_create mincore mlockall
mprotect msgctl msgget msgrcv msgsnd munlockall nanosleep pause personality pidfd_open pipe poll ppoll prctl
prlimit64 process_vm_readv process_vm_writev pselect6 ptrace rseq rt_sigqueueinfo rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield select semctl
semget semop semtimedop set_robust_list setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
setreuid setrlimit setsid settimeofday setuid shmat shmctl shmdt shmget sigaltstack socket socketpair sysinfo tgkill
time timer_create timer_delete timer_getoverrun timer_gettime timer_settime times tkill umask wait4 waitid waitpid
rt_sigaction rt_sigprocmask rt_sigsuspend rt_sigreturn rt_sigpending eventfd eventfd2 epoll_create epoll_create1
inotify_init inotify_init1 timerfd_create restart_syscall mmap mmap2 munmap mremap madvise mlock munlock msync
set_mempolicy get_mempolicy mbind
"""
_BY_PATH = """
access acct chdir chmod chown chown32 chroot creat execve execveat faccessat faccessat2 fchmodat fchownat futimesat
getxattr inotify_add_watch lchown lgetxattr link linkat listxattr lstat lstat64 mkdir mkdirat mknod mknodat mount
name_to_handle_at newfstatat oldstat open openat openat2 readlink readlinkat removexattr rename renameat renameat2
rmdir setxattr stat stat64 statfs statfs64 statx symlink symlinkat truncate umount2 unlink unlinkat utime utimensat
utimes
"""
NO_FD = frozenset(_NO_FD.split())
"""Calls whose first number is no file descriptor."""
BY_PATH = frozenset(_BY_PATH.split())
"""Calls that name a file: what they are about where they have no descriptor."""
FORKS = frozenset({"clone", "clone2", "clone3", "fork", "vfork"})
NO_PLACE = frozenset({"gettid", "getpid", "getppid", "getpgid", "getsid", "getpgrp", "wait4", "waitpid", "waitid"})
"""Calls that give a process: with --decode-pids=comm its name stands behind it as a path stands behind a descriptor."""
