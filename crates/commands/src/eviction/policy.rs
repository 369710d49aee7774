//! The names of what goes when memory is full.

/// `maxmemory-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// Of the keys with an expiry, the one not used for the longest time.
    VolatileLru,
    /// Of the keys with an expiry, the one least often used.
    VolatileLfu,
    /// Of the keys with an expiry, any.
    VolatileRandom,
    /// The key that expires next.
    VolatileTtl,
    /// Of all keys, the one not used for the longest time.
    AllkeysLru,
    /// Of all keys, the one least often used.
    AllkeysLfu,
    /// Of all keys, any.
    AllkeysRandom,
    /// None: commands that need memory are refused.
    #[default]
    NoEviction,
}

/// What tells a good candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Idle,
    Seldom,
    Deadline,
    None,
}

impl Policy {
    pub(super) const ALL: [(&str, Self); 8] = [
        ("volatile-lru", Self::VolatileLru),
        ("volatile-lfu", Self::VolatileLfu),
        ("volatile-random", Self::VolatileRandom),
        ("volatile-ttl", Self::VolatileTtl),
        ("allkeys-lru", Self::AllkeysLru),
        ("allkeys-lfu", Self::AllkeysLfu),
        ("allkeys-random", Self::AllkeysRandom),
        ("noeviction", Self::NoEviction),
    ];

    /// The policy of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(named, _)| *named == name).map(|(_, policy)| *policy)
    }

    /// The policy that `as u8` has made a number of.
    pub(crate) fn from_u8(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).map_or(Self::NoEviction, |(_, policy)| *policy)
    }

    /// Whether it counts how often entries are used, rather than when.
    #[inline]
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::AllkeysLfu | Self::VolatileLfu)
    }

    /// Whether it looks at the access word: Redis shares no objects then, since a shared one has only one such word.
    pub fn looks_at_use(self) -> bool {
        matches!(self.order(), Order::Idle | Order::Seldom)
    }

    /// Whether only keys with an expiry go.
    pub(crate) fn is_volatile(self) -> bool {
        matches!(self, Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl)
    }

    /// Whether any key is as good as any other.
    pub(crate) fn is_random(self) -> bool {
        self.order() == Order::None
    }

    pub(super) fn order(self) -> Order {
        match self {
            Self::VolatileLru | Self::AllkeysLru => Order::Idle,
            Self::VolatileLfu | Self::AllkeysLfu => Order::Seldom,
            Self::VolatileTtl => Order::Deadline,
            Self::VolatileRandom | Self::AllkeysRandom | Self::NoEviction => Order::None,
        }
    }
}
