// What somebody should be woken for, or told in the morning.
param unique string
param location string
param tags object
param namespaceId string
param premium bool
param workspaceId string
param actionGroupIds array
param failureRatePercent int

var actions = [for id in actionGroupIds: { actionGroupId: id }]

var metricAlerts = [
  {
    name: 'dead-letters'
    description: 'A queue holds dead letters. docs/operate.md: Dead letters.'
    severity: 1
    metric: 'DeadletteredMessages'
    dimension: 'EntityName'
    threshold: 0
    aggregation: 'Maximum'
  }
  {
    name: 'throttled'
    description: 'Service Bus refuses requests; message counts read as 0 meanwhile. docs/operate.md: Slow.'
    severity: 2
    metric: 'ThrottledRequests'
    dimension: 'EntityName'
    threshold: 0
    aggregation: 'Total'
  }
]
var premiumAlerts = [
  {
    name: 'bus-cpu'
    description: 'The namespace is near its capacity: raise messagingUnits.'
    severity: 2
    metric: 'NamespaceCpuUsage'
    dimension: 'Replica'
    threshold: 70
    aggregation: 'Maximum'
  }
]

resource overThreshold 'Microsoft.Insights/metricAlerts@2018-03-01' = [for alert in (premium ? concat(metricAlerts, premiumAlerts) : metricAlerts): {
  name: '${alert.name}-${unique}'
  location: 'global'
  tags: tags
  properties: {
    description: alert.description
    severity: alert.severity
    enabled: true
    scopes: [namespaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: alert.name
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: alert.metric
          dimensions: [{ name: alert.dimension, operator: 'Include', values: ['*'] }]
          operator: 'GreaterThan'
          threshold: alert.threshold
          timeAggregation: alert.aggregation
        }
      ]
    }
    actions: actions
  }
}]

resource growing 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'queue-growing-${unique}'
  location: 'global'
  tags: tags
  properties: {
    description: 'A queue is longer than it uses to be at this hour. docs/operate.md: Slow.'
    severity: 2
    enabled: true
    scopes: [namespaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'DynamicThresholdCriterion'
          name: 'depth'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'ActiveMessages'
          dimensions: [{ name: 'EntityName', operator: 'Include', values: ['*'] }]
          operator: 'GreaterThan'
          alertSensitivity: 'Medium'
          failingPeriods: { numberOfEvaluationPeriods: 4, minFailingPeriodsToAlert: 3 }
          timeAggregation: 'Average'
        }
      ]
    }
    actions: actions
  }
}

resource failing 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'failure-rate-${unique}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Longhaul: jobs fail'
    description: 'More than ${failureRatePercent} % of at least 20 jobs failed in 15 minutes. docs/operate.md: Failing.'
    severity: 2
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    // The tables come into being with the first line logged.
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('failure-rate.kql')
          timeAggregation: 'Maximum'
          metricMeasureColumn: 'rate'
          operator: 'GreaterThan'
          threshold: failureRatePercent
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: actionGroupIds }
  }
}

resource silent 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'scheduler-silent-${unique}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Longhaul: the scheduler is silent'
    description: 'No heartbeat of the scheduler in 15 minutes: recurring jobs do not start. docs/operate.md: Stuck.'
    severity: 1
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'AppTraces | where Message startswith "longhaul.scheduler alive"'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: actionGroupIds }
  }
}
